"""Sensors: wait for a generation that another task has submitted, or for a balance."""
