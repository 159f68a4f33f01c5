"""The first DAG of the README and the recipes of the pages, run as a reader runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.docs.blocks import all_blocks
from tests.docs.recipe.cost_report import costs
from tests.lab.airflow_command import AirflowCommands
from tests.lab.fork_server import PROJECT, bare_environment

RECIPE = PROJECT / "tests" / "docs" / "recipe"


@pytest.fixture
def sandbox() -> Sandbox:
    """Return a sandbox with the settings that the README's command has, but for its port."""
    return Sandbox(SandboxSettings(seconds=0.2))


def readme_block(text: str) -> str:
    """Return the only block of the README that has a text."""
    (block,) = (block.code for block in all_blocks() if block.place.startswith("README") and text in block.code)
    return block


def test_the_first_dag_of_the_readme_runs_as_copied(
    commands: AirflowCommands, sandbox: Sandbox, tmp_path: Path
) -> None:
    dags, pictures = tmp_path / "dags", tmp_path / "pictures"
    dags.mkdir()
    (dags / "first_image.py").write_text(readme_block('dag_id="first_image"').replace("/tmp/pictures", str(pictures)))
    exported = readme_block("http://127.0.0.1:8585").partition("=")[2].strip().strip("'")
    with sandbox:
        connection = json.dumps(json.loads(exported) | {"host": sandbox.base_url})
        ended = commands.airflow(tmp_path / "home", dags).run(
            *readme_block("airflow dags test first_image").split()[2:], AIRFLOW_CONN_APIMART_DEFAULT=connection
        )
    assert ended.status == 0, ended.output[-6000:]
    assert (sandbox.accepted, sandbox.billed) == (1, 1), ended.output[-6000:]
    (saved,) = pictures.glob("*.png")
    assert str(saved) in "".join(ended.output.split())


@pytest.mark.starts_airflow
def test_the_recipe_for_your_own_tests_passes(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(RECIPE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    ended = subprocess.run(command, cwd=folder, env=bare_environment(), capture_output=True, text=True, check=False)
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr


def test_the_cost_report_adds_up_what_batches_paid(commands: AirflowCommands, sandbox: Sandbox, tmp_path: Path) -> None:
    airflow = commands.airflow(tmp_path / "home", PROJECT / "example_dags")
    conf = json.dumps({"destination": (tmp_path / "saved").as_uri()})
    with sandbox:
        for _ in range(2):
            ended = airflow.run(
                *("dags", "test", "example_apimart_daily", "--conf", conf),
                AIRFLOW_CONN_APIMART_DEFAULT=sandbox.connection_json(),
            )
            assert ended.status == 0, ended.output[-6000:]
    reported = costs(tmp_path / "saved")
    assert {dag_id for dag_id, _ in reported} == {"example_apimart_daily"}
    assert sum(reported.values()) == sandbox.dollars == Decimal("0.1")
