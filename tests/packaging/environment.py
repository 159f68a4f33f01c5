"""Empty environments, and what is installed into them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
VERSIONS = ("2.11", "3.0", "3.1", "3.2", "3.3", "lowest")


def constraints(version: str) -> Path:
    """
    Return the file that names the versions of everything.

    :param version: One of ``VERSIONS``.
    """
    if version not in VERSIONS:
        raise SystemExit(f"There are constraints for {', '.join(VERSIONS)}, not for {version}")
    return PROJECT / "constraints" / ("lowest.txt" if version == "lowest" else f"airflow-{version}.txt")


def make(folder: Path, version: str, *selected: str, python: str = sys.executable) -> Path:
    """
    Make an environment anew, and return the folder of its commands.

    :param version: One of ``VERSIONS``.
    :param selected: What to install, as pip takes it from the project's folder.
    :param python: The interpreter that it is made from.
    """
    _uv("venv", "--quiet", "--clear", "--seed", "--python", python, str(folder)).check_returncode()
    interpreter = str(folder / "bin" / "python")
    arguments = ("--constraint", str(constraints(version)), *selected)
    if _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", interpreter, *arguments).returncode:
        # It doesn't read pip's configuration, which may name the only registry within reach.
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *arguments], cwd=PROJECT, check=True)
    return folder / "bin"


def _uv(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "uv", *arguments], cwd=PROJECT, check=False)
