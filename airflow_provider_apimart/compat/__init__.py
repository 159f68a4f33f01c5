"""What older versions of Airflow do otherwise, and what is done about it."""
