"""Fixtures that all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

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

_FIXTURES_WITH_AIRFLOW = {"airflow_template", "lab"}
# The names by which tests start a server.
_SERVERS = {"Sandbox", "hostile", "s3_server"}
_HALVES = ("short", "rest")
_FIXTURES_WITH_SERVER = {"apimart", "apimart_sandbox", "hook", "s3", "sandbox", "server"}

atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


def pytest_configure() -> None:
    """Let interrupts work: tests that a shell has started in the background ignore them, and so do their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test` and each version of Airflow in the short form of the matrix run a part of the tests."""
    parser.addoption("--cases", metavar="K/N", help="of each test, run the first case and every Nth other one")
    parser.addoption("--tests", metavar="K/N", help="run every Nth test, with all its cases")
    parser.addoption("--half", choices=_HALVES, help="what `make test` runs, or what it leaves to `make test-rest`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that start an Airflow or a server, by what provides it; ``make quick`` leaves them out."""
    for item in items:
        if _FIXTURES_WITH_AIRFLOW & _fixtures(item):
            item.add_marker("starts_airflow")
        if _FIXTURES_WITH_SERVER & _fixtures(item) or _SERVERS & vars(getattr(item, "module", item)).keys():
            item.add_marker("slow")
    left_out = set(items) - set(_dealt_out(items, config.getoption("--tests")))
    left_out |= set(items) - set(_cases(items, config.getoption("--cases")))
    left_out |= set(items) - set(_half(items, config.getoption("--half")))
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _dealt_out(items: Iterable[pytest.Item], share: str | None) -> Iterator[pytest.Item]:
    """Return every Nth test with all its cases."""
    for number, cases in enumerate(_by_test(items)):
        if _is_of(share, number):
            yield from cases


def _cases(items: Iterable[pytest.Item], share: str | None) -> Iterator[pytest.Item]:
    """Return the first case of each test, and every Nth other one."""
    for cases in _by_test(items):
        yield from (case for number, case in enumerate(cases) if number == 0 or _is_of(share, number))


def _half(items: Iterable[pytest.Item], half: str | None) -> Iterator[pytest.Item]:
    """
    Return one of the two halves of the tests.

    The short one lacks the long tests, and of those that start an Airflow it has the first one of each module alone.
    """
    with_airflow: set[Path] = set()
    for item in items:
        is_first = item.path not in with_airflow
        if starts_airflow := item.get_closest_marker("starts_airflow") is not None:
            with_airflow.add(item.path)
        is_long = item.get_closest_marker("long") is not None or (starts_airflow and not is_first)
        if half is None or is_long == (half == "rest"):
            yield item


def _by_test(items: Iterable[pytest.Item]) -> Iterable[list[pytest.Item]]:
    """Return the cases of each test."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return tests.values()


def _is_of(share: str | None, number: int) -> bool:
    """Whether a number is of a share such as ``1/4``; without a share, all are."""
    part, _, parts = (share or "1/1").partition("/")
    return number % int(parts) == int(part) % int(parts)


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
