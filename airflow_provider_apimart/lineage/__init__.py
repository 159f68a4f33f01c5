"""Lineage: asset events and OpenLineage. Read ``facts`` first, then ``emitter``, which operators inherit."""
