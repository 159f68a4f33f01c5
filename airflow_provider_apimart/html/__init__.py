"""Templates and style of the pages in Airflow's interface, and of the gallery beside a batch."""
