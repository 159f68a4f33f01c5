"""Airflow's own commands show the provider, without a warning, on the version that runs the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.packaging.clean_install import LISTINGS, check_command


@pytest.mark.starts_airflow
@pytest.mark.parametrize("command", LISTINGS)
def test_airflow_lists_the_provider_without_a_warning(tmp_path: Path, command: str) -> None:
    assert "apimart" in check_command(Path(sys.executable).parent, tmp_path, command).lower()
