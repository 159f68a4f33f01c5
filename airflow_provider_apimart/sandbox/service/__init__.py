"""
The service without I/O: requests in, replies out.

Read :mod:`.service` first: it authenticates, validates, accepts and reports. It uses :mod:`.settings`, :mod:`.models`,
:mod:`.validation`, :mod:`.generations`, :mod:`.billing` (charges) and :mod:`.idempotency`. :mod:`.replies` has the
documented errors, :mod:`.dialects` the shapes of replies, :mod:`.outputs` the names and recipes of files.
:mod:`.faults` and :mod:`.directives` select which requests fail.
"""
