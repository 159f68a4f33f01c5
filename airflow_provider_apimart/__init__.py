"""Apache Airflow provider for APIMart, a gateway to image and video generation models."""

__version__ = "1.0.0"
