"""
HTTP layer of the sandbox.

Read :mod:`.server` (routes and the processing of a request) first, then :mod:`.connection_faults` (lost and damaged
replies), :mod:`.bodies` and :mod:`.request_log`. :mod:`.control` and :mod:`.page` serve the control
routes and the HTML page.
"""
