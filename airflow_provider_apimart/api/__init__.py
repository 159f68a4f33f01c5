"""
The APIMart API without Airflow.

Read ``contract`` first (names, routes, limits), then ``http_messages`` and ``flow``: a flow is a generator that
yields requests and pauses and is sent the replies. ``submission``, ``upload``, ``status_request``, ``waiting`` and
``balance`` are flows. ``error_mapping`` says which error a reply is, ``retry`` when something is sent again,
``rate_limiter`` how fast. Two transports run the same flows: ``requests_transport`` on the worker, and
``aiohttp_transport`` in the triggerer and in batches. Only the transports send anything.
"""
