"""
Install a wheel into an empty environment for each version of Airflow, and look at it as Airflow does.

``python -m tests.packaging.clean_install dist/*.whl`` prints what it found and fails on the first thing that is wrong.
Versions after the wheel's name are the only ones that are looked at.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.packaging.environment import PROJECT, VERSIONS, make

# At once: each waits now for the registry, now for a processor.
_ENVIRONMENTS = 2
LISTINGS = ("list", "hooks", "links", "triggers")
# Hooks of others that can't be imported: one of Amazon's needs DuckDB's provider, and on Airflow 2.11 HTTP's needs
# pydantic.
OTHERS = ("duckdb_aws ", "http ")
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE"}


def main(wheel: Path, versions: Iterable[str]) -> None:
    """Check one wheel."""
    check_contents(wheel)
    with ThreadPoolExecutor(_ENVIRONMENTS) as pool:
        for lines in pool.map(partial(check_version, wheel), versions):
            print(*lines, sep="\n", flush=True)
    print(f"{wheel.name}: installs into an empty environment, and each Airflow lists it without a warning")


def check_version(wheel: Path, version: str) -> list[str]:
    """Install a wheel for one version of Airflow, and return what that shows of the provider, a line a command."""
    with tempfile.TemporaryDirectory() as folder:
        commands = make(Path(folder) / "environment", version, str(wheel.resolve()))
        return [
            f"{version}: airflow providers {command}: {check_command(commands, Path(folder), command)}"
            for command in LISTINGS
        ]


def check_contents(wheel: Path) -> None:
    """Fail if the wheel holds anything but the package, the examples and its metadata, or lacks a part of them."""
    shipped = set(zipfile.ZipFile(wheel).namelist())
    package = _files("airflow_provider_apimart") | {
        f"airflow_provider_apimart/{name}" for name in _files("example_dags")
    }
    metadata = {name for name in shipped if re.match(r"airflow_provider_apimart-[^/]+\.dist-info/", name)}
    assert {Path(name).name for name in metadata} == METADATA, f"the wheel's metadata are {sorted(metadata)}"
    assert shipped - metadata == package, (
        f"the wheel and the sources differ in {sorted((shipped - metadata) ^ package)}"
    )
    assert "airflow_provider_apimart/py.typed" in shipped, "the wheel ships no types"
    examples = len({name for name in _files("example_dags") if name.endswith(".py")})
    print(f"{wheel.name}: {len(shipped)} files, {wheel.stat().st_size:,} bytes, {examples} example DAGs, nothing else")


def _files(folder: str) -> set[str]:
    """Return what is in a folder of the sources, by its path from the project."""
    files = (path for path in (PROJECT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(PROJECT).as_posix() for path in files}


def check_command(commands: Path, home: Path, command: str) -> str:
    """Return what Airflow shows of the provider, or fail if it shows nothing or warns."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    settings = {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Airflow 2.11 warns of its own default.
        "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",
        "COLUMNS": "250",
    }
    done = subprocess.run(
        [commands / "airflow", "providers", command, "--output", "plain"],
        env=kept | settings,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    ours = [line for line in done.stdout.splitlines() if "apimart" in line.lower()]
    assert ours, f"`airflow providers {command}` doesn't show the provider:\n{output}"
    lines = [line for line in output.splitlines() if not line.startswith(OTHERS)]
    warnings = [line for line in lines if "warn" in line.lower() or "error" in line.lower()]
    assert not warnings, f"`airflow providers {command}` warns:\n{output}"
    return " | ".join(" ".join(line.split()) for line in ours)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or VERSIONS)
