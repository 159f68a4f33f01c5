"""Operators: upload a reference picture, and make pictures and clips."""
