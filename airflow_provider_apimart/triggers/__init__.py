"""Triggers: waits that cost no worker. They only ever read; nothing is submitted in a triggerer."""
