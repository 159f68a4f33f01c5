"""Batches in a real Airflow: its task runner, retries, clears, XCom, deferral, time-outs and signals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from tests.batch.support import posts
from tests.lab import AirflowLab, Run

KEY = "sk-5ecret0123456789abcdefghijklmnopqrstuvwxyz"
BOTH = pytest.mark.parametrize("mode", ["waiting", "deferred"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(seconds=0.2, balance=None, api_key=KEY)) as apimart:
        yield apimart


class Batch:
    """
    A run of a DAG with a batch that is saved below a directory.

    :param arguments: Of the operator.
    """

    def __init__(self, lab: AirflowLab, dag_id: str, folder: Path, written: object, **arguments: Any) -> None:
        self.file = folder / "requests.jsonl"
        self.pictures = folder / "pictures"
        self.write(written)
        arguments = {"destination": self.pictures.as_uri(), **arguments}
        requests = written if dag_id.startswith("lab_batch_of_") else self.file.as_uri()
        self.run: Run = lab.start_run(dag_id, {"requests": requests, "arguments": arguments})

    def write(self, written: object) -> None:
        """Write the file of the requests."""
        lines = written if isinstance(written, list) else [written]
        self.file.write_text("".join(json.dumps(each) + "\n" for each in lines))

    @property
    def task(self) -> Any:
        """The batch's task instance."""
        return self.run.view("generate")

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What it has pushed, however it ended."""
        pushed: Mapping[str, Any] = self.task.xcoms["manifest"]
        return pushed

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the ledger."""
        ledger = Path(self.manifest["ledger"].removeprefix("file://"))
        return [json.loads(line) for line in ledger.read_text().splitlines()]

    @property
    def statuses(self) -> list[str]:
        """How far each item is."""
        return [line["status"] for line in self.lines]

    @property
    def saved(self) -> list[Path]:
        """The pictures in the destination."""
        return sorted(self.pictures.glob("*.png"))


def cats(number: int) -> list[dict[str, str]]:
    """Return items with the same picture, which the sandbox draws once."""
    return [{"id": f"cat-{each}", "prompt": "a cat"} for each in range(number)]


def prompts(written: Iterable[str]) -> list[dict[str, str]]:
    return [{"prompt": each} for each in written]


@BOTH
def test_a_batch_is_made_saved_and_billed_once(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str) -> None:
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, cats(40), max_in_flight=15)
    batch.run.drive(sandbox.connection_json())
    assert (batch.task.state, batch.task.try_number) == ("success", 1)
    assert batch.task.returned == batch.manifest
    assert {name: batch.manifest[name] for name in ("items", "completed", "files", "unsaved", "cost")} == {
        "items": 40,
        "completed": 40,
        "files": 40,
        "unsaved": 0,
        "cost": 0.8,
    }
    assert sandbox.billed == sandbox.accepted == len(batch.saved) == 40
    assert {Path(line["files"][0]["uri"].removeprefix("file://")) for line in batch.lines} == set(batch.saved)
    page = Path(batch.manifest["gallery"].removeprefix("file://")).read_text()
    assert all(f'src="{file.name}"' in page for file in batch.saved)
    assert len(json.dumps(batch.task.returned)) < 1000


@BOTH
def test_failures_are_made_up_for_by_retries_alone(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str
) -> None:
    written = prompts(["[sandbox: fail once]", "[sandbox: moderation]", "[sandbox: refuse]", "a", "b", "c"])
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, written, item_retries=0)
    batch.run.drive(sandbox.connection_json())
    assert (batch.task.state, batch.task.try_number) == ("success", 2)
    assert batch.statuses == ["completed", "moderated", "moderated", "completed", "completed", "completed"]
    assert sandbox.billed == len(batch.saved) == 4
    assert posts(sandbox) == 7


@BOTH
def test_what_fails_for_ever_fails_the_task_with_its_manifest(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str
) -> None:
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, prompts(["[sandbox: fail]", "a", "b"]), item_retries=0)
    batch.run.drive(sandbox.connection_json())
    assert (batch.task.state, batch.task.try_number) == ("failed", 4)
    assert posts(sandbox) == 6
    assert (batch.manifest["completed"], batch.manifest["failed"]) == (2, 1)
    assert batch.task.returned is None
    assert "2 of 3 items completed, 1 failed" in batch.run.log


@pytest.mark.parametrize(("allowed", "state"), [(1, "failed"), (2, "success"), (0.25, "failed"), (0.5, "success")])
def test_max_failures_decides_about_the_task(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, allowed: float, state: str
) -> None:
    written = [{"prompt": "x", "size": "none"}, {"prompt": "y", "size": "none"}, *cats(2)]
    batch = Batch(lab, "lab_batch_waiting", tmp_path, written, max_failures=allowed)
    batch.run.drive(sandbox.connection_json())
    assert (batch.task.state, batch.task.try_number) == (state, 1)
    assert batch.manifest["refused"] == sandbox.billed == 2


@BOTH
def test_a_clear_makes_only_what_is_missing(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str) -> None:
    bad = [{"id": "bad", "prompt": "x", "size": "no size"}, *cats(10)]
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, bad)
    batch.run.drive(sandbox.connection_json())
    assert batch.task.state == "failed"
    before = {line["id"]: line for line in batch.lines}
    saved = {file: file.stat().st_mtime_ns for file in batch.saved}
    batch.write([{"id": "bad", "prompt": "x", "size": "1:1"}, *cats(10)])
    batch.run.clear("generate")
    batch.run.drive(sandbox.connection_json())
    assert batch.task.state == "success"
    assert sandbox.billed == len(batch.saved) == 11
    assert posts(sandbox) == 12
    assert [line for line in batch.lines if line["id"] != "bad"] == [
        line for name, line in before.items() if name != "bad"
    ]
    assert {file: file.stat().st_mtime_ns for file in saved} == saved


def test_clearing_a_finished_batch_pays_nothing(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path) -> None:
    batch = Batch(lab, "lab_batch_waiting", tmp_path, cats(5))
    for _ in range(2):
        batch.run.drive(sandbox.connection_json())
        batch.run.clear("generate")
    assert posts(sandbox) == sandbox.billed == 5


def test_an_empty_list_succeeds_with_an_empty_manifest(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path) -> None:
    batch = Batch(lab, "lab_batch_waiting", tmp_path, [])
    batch.run.drive(sandbox.connection_json())
    assert batch.task.state == "success"
    assert (batch.task.returned["items"], batch.task.returned["ledger"]) == (0, None)
    assert "0 items" in batch.run.log
    assert sandbox.requests == ()


@BOTH
def test_bad_input_is_refused_before_anything_is_sent_and_not_retried(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str
) -> None:
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, [{"prompt": "good"}, {"id": "bad", "prompt": ""}, 5])
    batch.run.drive(sandbox.connection_json())
    assert (batch.task.state, batch.task.try_number) == ("failed", 1)
    assert "2 invalid items" in batch.run.log
    assert sandbox.requests == ()


@BOTH
def test_a_destination_that_cannot_be_written_costs_nothing(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    for destination in ((tmp_path / "file").as_uri(), "nosuchprotocol://bucket/x"):
        batch = Batch(lab, f"lab_batch_{mode}", tmp_path, cats(3), destination=destination)
        batch.run.drive(sandbox.connection_json())
        assert batch.task.state == "failed"
    assert posts(sandbox) == sandbox.billed == 0
    assert "Nothing was" in batch.run.log


@BOTH
def test_an_empty_account_fails_the_task_at_once(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str) -> None:
    sandbox.inject(Fault("insufficient_balance", skip=12, times=10_000))
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, cats(200), max_in_flight=6)
    batch.run.drive(sandbox.connection_json())
    assert (batch.task.state, batch.task.try_number) == ("failed", 1)
    assert batch.manifest["completed"] == len(batch.saved) == sandbox.billed == 12
    assert posts(sandbox) < 50
    assert "ApimartBalanceError" in batch.run.log


@BOTH
def test_max_cost_fails_the_task_at_once(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str) -> None:
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, cats(30), max_cost="0.20")
    batch.run.drive(sandbox.connection_json())
    assert (batch.task.state, batch.task.try_number) == ("failed", 1)
    assert sandbox.billed == batch.manifest["completed"] == 10
    assert "Stopped at max_cost: $0.20 of $0.20 spent" in batch.run.log


@pytest.mark.parametrize("dag_id", ["lab_batch_of_listed_requests", "lab_batch_of_mapped_requests"])
def test_requests_may_come_from_another_task_and_the_ledger_go_to_the_next(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, dag_id: str
) -> None:
    batch = Batch(lab, dag_id, tmp_path, [{"id": "fox", "prompt": "a fox"}, {"prompt": "a heron"}])
    batch.run.drive(sandbox.connection_json())
    assert batch.run.view("read").returned == [2, ["fox", "completed"], ["1", "completed"]]
    assert sandbox.billed == 2


def test_without_destination_the_urls_are_in_the_ledger(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path) -> None:
    batch = Batch(lab, "lab_batch_waiting", tmp_path, cats(3), destination=None)
    batch.run.drive(sandbox.connection_json(), AIRFLOW__APIMART__LEDGER_PATH=(tmp_path / "ledgers").as_uri())
    assert batch.task.state == "success"
    assert Path(batch.manifest["ledger"].removeprefix("file://")).parent == tmp_path / "ledgers"
    urls = {output["url"] for line in batch.lines for output in line["outputs"]}
    assert urls == {url for generation in sandbox.generations for url in generation.urls}
    assert sandbox.file_requests == ()


@BOTH
def test_a_task_that_runs_out_of_time_is_resumed_by_its_retry(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str
) -> None:
    """Airflow raises the time-out from a signal handler, in the middle of the work."""
    sandbox.configure(seconds=0.5)
    batch = Batch(lab, f"lab_batch_limited_{mode}", tmp_path, cats(100), max_in_flight=8)
    batch.run.drive(sandbox.connection_json())
    assert batch.task.state == "success"
    assert batch.task.try_number > 1 or mode == "deferred"
    assert sandbox.billed == sandbox.accepted == len(batch.saved) == 100
    assert "AirflowTaskTimeout" in batch.run.log or mode == "deferred"


@BOTH
def test_a_task_asked_to_stop_does_and_is_resumed_by_its_retry(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str
) -> None:
    sandbox.configure(seconds=0.5)
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, cats(60), max_in_flight=8)
    batch.run.drive(sandbox.connection_json(), signal_after=("SIGTERM", 0.5, f"{batch.pictures}/*.png"))
    assert batch.task.state == "success"
    assert sandbox.billed == sandbox.accepted == len(batch.saved) == 60
    if mode == "waiting":
        assert batch.task.try_number == 2
        assert "running generations continue and are charged, although the task was killed" in batch.run.log


@BOTH
def test_the_key_is_nowhere(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str) -> None:
    sandbox.inject(
        Fault("build_request_failed", times=1, message=f"build_request_failed: what is {KEY}?"),
        Fault("server_error", times=1, message=f"Bearer {KEY}"),
        Fault("bad_gateway", on="status", times=3, message=f"Bearer {KEY}"),
    )
    batch = Batch(lab, f"lab_batch_{mode}", tmp_path, prompts(["[sandbox: fail]", "[sandbox: refuse]", *"abcd"]))
    batch.run.drive(sandbox.connection_json())
    assert KEY not in batch.run.log
    assert KEY not in repr(batch.run.views())
    assert not [row for row in batch.run.rows() if KEY in row]
    files = [file for file in batch.pictures.rglob("*") if file.is_file()]
    assert len(files) > 4
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert not [request for request in sandbox.file_requests if KEY in repr(request)]
