"""Links from a task in the web interface to what it made."""
