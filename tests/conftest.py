"""Fixtures that all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator

import pytest

# Before anything imports Airflow: unit tests must neither read nor write the Airflow of whoever runs them.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="apimart-tests-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from airflow_provider_apimart.checks.known_models import KNOWN_MODELS
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.airflow_versions import lacks, reason
from tests.lab import AirflowLab, Template
from tests.lab.airflow_command import AirflowCommands, airflow_commands
from tests.object_storage import detach_all
from tests.s3 import S3Server, s3_server
from tests.selection import PARTS, part_of, share_of_cases, share_of_tests

_FIXTURES_WITH_AIRFLOW = {"airflow_template", "lab"}
# The names by which tests start a server.
_SERVERS = {"Sandbox", "hostile", "s3_server"}
_FIXTURES_WITH_SERVER = {"apimart", "apimart_sandbox", "hook", "s3", "sandbox", "server"}

atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


def pytest_configure() -> None:
    """Let interrupts work: tests that a shell has started in the background ignore them, and so do their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test` and each version of Airflow in the short form of the matrix run a part of the tests."""
    parser.addoption("--cases", metavar="K/N", help="of each test, run the first case and every Nth other one")
    parser.addoption("--tests", metavar="K/N", help="run every Nth test, with all its cases")
    parser.addoption("--part", choices=PARTS, help="what `make test` runs, or what it leaves to `make test-rest`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that start an Airflow or a server, by what provides it; ``make quick`` leaves them out."""
    for item in items:
        if _FIXTURES_WITH_AIRFLOW & _fixtures(item):
            item.add_marker("starts_airflow")
        if _FIXTURES_WITH_SERVER & _fixtures(item) or _SERVERS & vars(getattr(item, "module", item)).keys():
            item.add_marker("slow")
    chosen = set(share_of_tests(items, config.getoption("--tests")))
    chosen &= set(share_of_cases(items, config.getoption("--cases")))
    chosen &= set(part_of(items, config.getoption("--part")))
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def ledger_path(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let no test find the records of another one, whose task instance may have the same name."""
    path = tmp_path_factory.getbasetemp() / "ledgers" / uuid.uuid4().hex
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", str(path))


@pytest.fixture(autouse=True)
def known_models() -> None:
    """Let no test find the models of another one's sandbox, whose port may be the same."""
    KNOWN_MODELS.forget()


@pytest.fixture(autouse=True)
def storages() -> Iterator[None]:
    """Let no test find the storages of another one."""
    yield
    detach_all()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Provide S3 on loopback."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def airflow_template(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Template:
    """Return what this run's Airflows share, also those of other workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    return Template((base if worker_id == "master" else base.parent) / "template")


@pytest.fixture(scope="session")
def lab_on_every_version(tmp_path_factory: pytest.TempPathFactory, airflow_template: Template) -> Iterator[AirflowLab]:
    """Provide a real Airflow, shared by all tests: each makes DAG runs of its own."""
    with AirflowLab(tmp_path_factory.mktemp("lab"), airflow_template) as airflow:
        yield airflow


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> AirflowLab:
    """Return that Airflow, where its triggers run as the triggerer runs them."""
    if lacks("runner of triggers in one process"):
        pytest.skip(reason("runner of triggers in one process"))
    found: AirflowLab = request.getfixturevalue("lab_on_every_version")
    return found


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory, airflow_template: Template) -> Iterator[AirflowCommands]:
    """Provide Airflow's own commands, each in a process and an Airflow of its own."""
    with airflow_commands(airflow_template, tmp_path_factory.mktemp("commands") / "commands.log") as provided:
        yield provided


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Provide a fresh APIMart whose pictures take a third of a second."""
    with Sandbox(SandboxSettings(seconds=0.3)) as apimart:
        yield apimart
