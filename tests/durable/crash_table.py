"""
The table of crash points on several versions of Airflow, each in an environment of its own.

``python -m tests.durable.crash_table 2.11 3.0 3.1 3.2 3.3`` prints what the crash sweep says on each of them, and ends
with 1 if the promise doesn't hold or a table isn't the documentation's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from tests.matrix import Environment
from tests.packaging.environment import PROJECT, VERSIONS

_SWEEP = ("-m", "tests.durable.crash_sweep")


def main(versions: Sequence[str]) -> int:
    """Run the sweep on some versions, or on all but the lowest releases; return on how many it doesn't hold."""
    broken = 0
    for version in versions or VERSIONS[:-1]:
        environment = Environment(version, sys.executable)
        environment.build()
        broken += bool(subprocess.run([environment.interpreter, *_SWEEP], cwd=PROJECT, check=False).returncode)
    return broken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
