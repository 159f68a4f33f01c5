"""The recipe's files are copied and run by a test, not collected: their conftest.py belongs to another project."""

collect_ignore = ["recipe"]
