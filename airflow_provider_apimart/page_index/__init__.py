"""
Index of batches and generations, for the pages in Airflow's interface.

Each task writes a small file of its own below ``[apimart] ledger_path``, which says what it made, what it cost and
where its ledger is. Nothing else depends on these files: without them the pages are empty, and no payment changes.
"""
