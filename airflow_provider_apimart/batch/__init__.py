"""
Thousands of generations in one task instance.

What is asked for (:mod:`~.items`), what has become of it (:mod:`~.ledger`, kept by :mod:`~.journal`), what may be
spent (:mod:`~.budget`) and whether the task succeeds (:mod:`~.outcome`) are decided without I/O;
:mod:`~.run` holds the flows.
"""
