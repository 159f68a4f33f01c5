"""
Transfers: results into the user's own storage, before their URLs expire.

Read ``apimart_to_object_storage`` first. ``selection`` says what can be named; ``partial_failures`` joins errors.
"""
