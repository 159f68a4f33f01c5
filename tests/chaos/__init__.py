"""A whole Airflow on PostgreSQL and Celery, whose parts are killed at random, and what it paid for and saved."""
