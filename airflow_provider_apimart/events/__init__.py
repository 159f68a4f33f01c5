"""
Events: what happens to a generation, reported once to each place that reports it.

Read ``generation_event`` first. ``log`` and ``metrics`` handle events; so do ``page_index`` and ``lineage``.
"""
