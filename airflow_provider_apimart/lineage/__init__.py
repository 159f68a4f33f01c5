"""What became of the money, told to the rest of Airflow: asset events and OpenLineage."""
