"""
Thousands of generations in one task instance.

Read ``items`` first (what is asked for), then ``plan`` and ``run``, which makes and saves them. ``journal`` makes
facts durable in groups, ``ledger`` is the view of them that people read, ``budget`` decides what may be spent,
``summary`` whether the task succeeds. ``task_try`` ties one try of the task together. ``exports`` writes
data sets when the batch ends.
"""
