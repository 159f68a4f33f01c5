"""Lineage: asset events and OpenLineage. Read ``event_content`` first, then ``emitter``, which operators inherit."""
