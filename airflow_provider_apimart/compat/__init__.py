"""Differences between versions of Airflow. Read ``versions`` first; the other modules handle one difference each."""
