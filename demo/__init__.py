"""The demo: a real Airflow makes a picture from a reference picture, and accounts for it."""
