"""
APIMart without Airflow.

Requests and replies become values here, and values become decisions, all without I/O. What takes several
requests is a flow: a generator that yields what to send and how long to pause. Two thin transports,
one on ``requests`` and one on ``aiohttp``, hold the same flows, so that they can't drift apart.
"""
