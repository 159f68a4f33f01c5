"""The short form of the kill sweep, in a process of its own that may fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab.fork_server import PROJECT

pytestmark = pytest.mark.long


def test_a_killed_process_leaves_nothing_half_and_its_retry_fetches_nothing_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.results.kill_sweep", "--short"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broke the promise" in done.stdout
