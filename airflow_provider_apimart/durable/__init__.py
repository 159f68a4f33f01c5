"""
One task instance, one paid generation.

Read ``facts`` first: a record is a set of facts that only grows. ``decision`` is the protocol as one table, and
``paid_once`` follows it. ``identity`` derives fingerprints and idempotency keys. ``record`` is the interface of a
record and its form in Airflow's state store; ``fact_files`` keeps facts in files of any object storage,
``file_record`` one generation's record in them. ``records`` chooses between the two. ``version_1`` reads what version
1.0.0 wrote.
"""
