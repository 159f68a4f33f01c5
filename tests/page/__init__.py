"""The pages in Airflow's interface: real routes and a real auth manager, without the rest of an Airflow."""
