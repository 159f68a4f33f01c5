"""A measurement in a process of its own, so that neither memory nor caches of another one count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.storages import PROJECT


def told_by(module: str, *arguments: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """
    Run a module, and return the JSON object in the last line that it prints.

    :raises RuntimeError: With what it printed, if it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
