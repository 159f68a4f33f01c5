"""
Pages in Airflow's interface, from Airflow 3.1 on. Read ``plugin`` first, then ``app``.

The pages only read: nothing on them changes or spends anything. Who may see what is decided by ``access`` alone.
"""
