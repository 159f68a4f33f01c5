"""Hooks: the authenticated connection to APIMart."""
