"""
Tests of Airflow's web pages in a real browser.

The tests are skipped where Chromium or playwright is missing: ``make browser`` installs both.
"""
