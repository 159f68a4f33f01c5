"""Apache Airflow provider for APIMart, a gateway to models for images, videos and music."""

__version__ = "1.0.0"
