"""Transfers: results into the user's own storage, before their URLs expire."""
