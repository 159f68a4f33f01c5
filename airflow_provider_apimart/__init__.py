"""Apache Airflow provider for APIMart, a gateway to image and video generation models."""

__version__ = "0.1.0"
