"""
Storage of results: whole files under names of their own.

Read ``destination`` first. ``file_names`` makes names from templates, ``receipts`` say whose file lies under a name,
``staging`` holds files on their way, ``hashing_writer`` and ``large_file`` write them, ``atomic_write`` writes small
files.
"""
