"""Every block of code in the pages and in the README is run, or says why not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from tests.airflow_versions import lacks, reason, running
from tests.docs.blocks import Block, all_blocks
from tests.lab.airflow_command import AirflowCommands
from tests.lab.fork_server import PROJECT

BLOCKS = all_blocks()
RUN = [block for block in BLOCKS if block.mark not in ("not-run", "example") and block.language != "text"]
PARTS_OF_EXAMPLES = [block for block in BLOCKS if block.mark == "example"]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Provide an APIMart that is done at once, as the connection that the pages speak of."""
    with Sandbox(SandboxSettings(seconds=0.0)) as apimart:
        monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", apimart.connection_json())
        yield apimart


@pytest.fixture(scope="module")
def environment(commands: AirflowCommands, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of someone who has just set up Airflow, on whose path ``python`` is ours."""
    home = tmp_path_factory.mktemp("airflow") / "home"
    return commands.airflow(home, PROJECT / "example_dags").environment | {
        "APIMART_API_KEY": "sk-of-nobody",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def test_a_block_that_is_not_run_says_why() -> None:
    unexplained = [block.place for block in BLOCKS if block.mark == "not-run" and len(block.said) < 20]
    assert not unexplained
    assert len(RUN) > 10


@pytest.mark.parametrize("block", PARTS_OF_EXAMPLES, ids=[block.place for block in PARTS_OF_EXAMPLES])
def test_a_part_of_an_example_is_what_its_file_has(block: Block) -> None:
    """Pages have literal code, which forges show too; the tests run the file."""
    lines, code = (PROJECT / block.said).read_text().splitlines(), block.code.splitlines()
    parts = (dedent("\n".join(lines[start : start + len(code)])) for start in range(len(lines)))
    assert block.code.strip("\n") in parts, f"{block.place} differs from {block.said}"


def test_pages_include_no_code_that_a_forge_does_not_show() -> None:
    assert len(PARTS_OF_EXAMPLES) > 15
    pages = (PROJECT / "docs").rglob("*.rst")
    assert not [page.name for page in pages if ".. literalinclude::" in page.read_text()]


@pytest.mark.parametrize("block", RUN, ids=[block.place for block in RUN])
def test_a_block_runs_as_it_is_written(
    block: Block, sandbox: Sandbox, environment: dict[str, str], tmp_path: Path
) -> None:
    connected = environment | {"AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json()}
    runners: dict[str, Callable[[], None]] = {
        "python": lambda: run_python(block, tmp_path),
        "json": lambda: read_json(block.code),
        "bash": lambda: run_commands(block, block.code, connected),
        "console": lambda: run_commands(block, block.commands, connected),
    }
    runners[block.language]()


def run_python(block: Block, folder: Path) -> None:
    if "def test_" in block.code:
        run_pytest(block.code, folder)
    elif "with DAG(" in block.code:
        parse_dags(block.code, folder)
    else:
        exec(compile(block.code, block.place, "exec"), given())


def given() -> dict[str, Any]:
    """Return what a snippet may take for granted: a task that waits for a generation."""
    with DAG(dag_id="given", schedule=None, start_date=datetime(2026, 1, 1)):
        return {"wait": ApimartGenerationSensor(task_id="wait", generation="task_1")}


def parse_dags(code: str, folder: Path) -> None:
    """Let Airflow read a file of DAGs as it reads those of its DAGs folder."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    (folder / "pasted.py").write_text(code)
    bag = DagBag(str(folder))
    assert not bag.import_errors
    assert bag.dags


def run_pytest(code: str, folder: Path) -> None:
    """Run a test whose first line belongs into the root conftest.py."""
    plugins, test = code.split("\n", 1)
    (folder / "conftest.py").write_text(plugins)
    (folder / "test_pasted.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def read_json(code: str) -> None:
    """Read one document, or one in every line."""
    try:
        json.loads(code)
    except json.JSONDecodeError:
        assert len([json.loads(line) for line in code.splitlines()]) > 1


def run_commands(block: Block, commands: str, environment: dict[str, str]) -> None:
    assert commands.strip(), "a console without a command: write it as text"
    # The port that the pages name may be taken on this machine.
    commands = commands.replace("--port 8585", "--port 0")
    if "airflow backfill" in commands and running < (3, 0):
        pytest.skip("Airflow 2 has another command for backfills, which the page names")
    if "airflow apimart" in commands and lacks("command line of providers"):
        pytest.skip(reason("command line of providers"))
    if block.mark == "run-until":
        run_until(block.said, commands, environment)
        return
    script = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(script, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def run_until(text: str, command: str, environment: dict[str, str]) -> None:
    """Run a command until it has printed a text, then interrupt it as Ctrl+C does."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout
            assert any(text in line for line in running.stdout)
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 0
        finally:
            running.kill()
