"""
Data sets of a batch's results, written beside the ledger when the batch ends.

Read ``export`` first, which checks and writes the exports that an operator asks for. ``huggingface`` and ``parquet``
are the formats.
"""
