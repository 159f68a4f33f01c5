"""
Thousands of generations in one task instance.

Read ``items`` first (the requests), then ``plan`` and ``run``, which makes and saves them. ``task_try`` is one try of
the task from beginning to end. ``journal`` makes facts durable in groups. ``ledger`` holds the items in memory, and
``todo`` is what a try does with each. A line of the ledger's file is a ``ledger_entry``, which ``entry_of_facts``
derives. ``budget`` decides what may be spent, ``summary`` whether the task succeeds. ``exports`` writes data sets when
the batch ends.
"""
