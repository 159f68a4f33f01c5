"""Measurements, each side by side in one run with named alternatives."""
