"""The library of results."""
