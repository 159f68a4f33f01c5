"""
A whole Airflow with its web pages, and a real browser that looks at them.

The tests are skipped where Chromium or playwright is missing: ``make browser`` installs both.
"""
