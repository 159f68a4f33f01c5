"""
One task instance, one paid generation.

Read ``facts`` first: a record is a set of facts that only grows. ``attempt`` and ``item_record`` are the state that
follows from them. ``decision`` is the protocol as one table, and ``paid_once`` follows it. ``paid_request``
has the fingerprint of a request, ``task_identity`` what is the same in all tries of a task, and ``idempotency_key`` the
key that is sent with a submit.

``record`` is the interface of a record and its form in Airflow's state store. ``fact_files`` keeps facts in files
(``segment``) of any object storage, and ``file_record`` one generation's record in them. ``record_choice`` chooses
between the two. By the ``fence``, the newest try alone submits. ``version_1`` reads the records of version 1.0.0.
"""
