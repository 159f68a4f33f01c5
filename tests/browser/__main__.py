"""
Run the tests in a browser on another version of Airflow, in an environment of its own.

``python -m tests.browser 3.1``. Arguments of pytest may follow.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from tests.matrix import Environment
from tests.packaging.environment import PROJECT


def main(version: str, options: Sequence[str]) -> int:
    """
    Run the tests, and return pytest's exit code.

    :param version: One that has the pages.
    :param options: Arguments of pytest.
    """
    environment = Environment(version, sys.executable, ("test", "browser"))
    environment.build()
    command = [environment.interpreter, "-m", "pytest", "tests/browser", *options]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
