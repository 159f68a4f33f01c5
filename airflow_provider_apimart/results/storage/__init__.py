"""
Storage of results: whole files under names of their own.

Read ``destination`` first, then ``local_destination`` and ``object_store_destination``. ``file_names`` makes names from
templates, ``receipts`` record whose file has a name, ``staging`` holds files that are being written, ``hashing_writer``
and ``large_file`` write them, ``atomic_write`` writes small files, and ``kept_file`` copies files that were saved
earlier. ``paths`` holds every fact about a kind of storage.
"""
