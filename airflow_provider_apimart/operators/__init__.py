"""Operators: upload a reference image, and make images, videos and music, one at a time or in batches."""
