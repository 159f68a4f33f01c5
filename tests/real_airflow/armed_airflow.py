"""
Airflow's own command, in a process that kills itself at a crash point.

``python -m tests.real_airflow.armed_airflow "POST sent" dags test ...``
"""

from __future__ import annotations

import sys

from tests.lab.crash_points import install

if __name__ == "__main__":
    install(sys.argv.pop(1) or None)
    from airflow.__main__ import main

    main()
