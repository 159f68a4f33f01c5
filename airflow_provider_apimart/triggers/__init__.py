"""Triggers: waits that take no worker slot. They only read; nothing is submitted in a triggerer."""
