"""Saving by a batch: every paid output under a name of its own, whatever the template, the ids and the reply."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import generation_from_xcom
from airflow_provider_apimart.batch.save_failures import SaveFailures
from airflow_provider_apimart.events.metrics import COMPLETED, GenerationMetrics
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.bare import task_context
from tests.batch.support import TASK, make
from tests.results.hostile import picture

ITEMS = [{"id": f"i{number}", "prompt": f"a cat {number}"} for number in range(5)]


def run(
    folder: Path | None, requests: list[dict[str, Any]], context: Mapping[str, Any] | None = None, **arguments: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run a batch, and return the lines of its ledger and its manifest."""
    made = ApimartBatchGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        requests=requests,
        destination=None if folder is None else folder.as_uri(),
        poll_interval=0.05,
        **arguments,
    )
    given: Any = {**task_context(), **(context or {})}
    manifest = made.execute(given)
    ledger = Path(manifest["ledger"].removeprefix("file://")).read_text()
    return [json.loads(line) for line in ledger.splitlines()], manifest


def pictures(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.png") if ".apimart" not in path.parts]


def assert_all_there(folder: Path, lines: list[dict[str, Any]], files: int) -> None:
    """Check that every file of some ledgers is there with its own content."""
    named = [file for line in lines for file in line["files"]]
    assert len({file["uri"] for file in named}) == len(named) == files == len(pictures(folder))
    for file in named:
        content = Path(file["uri"].removeprefix("file://")).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (file["sha256"], file["bytes"])


def test_long_names_are_cut_apart(sandbox: Sandbox, tmp_path: Path) -> None:
    context = task_context()
    context["ti"].dag_id, context["ti"].task_id = "d" * 60, "t" * 60
    context["ti"].run_id = context["run_id"] = "r" * 60
    items = [{**item, "id": "i" * 60 + str(item["id"])} for item in ITEMS]
    lines, _ = run(tmp_path, items, context, filename="{dag_id}_{task_id}_{run_id}_{id}_{index}")
    assert_all_there(tmp_path, lines, 5)


def test_mapped_batches_with_one_destination_overwrite_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    lines = []
    for index in range(3):
        context = task_context()
        context["ti"].map_index = index
        lines += run(tmp_path, ITEMS[:3], context, filename="{id}_{index}")[0]
    assert_all_there(tmp_path, lines, 9)
    assert len(sandbox.generations) == 9


def test_ids_that_run_together_stay_apart(sandbox: Sandbox, tmp_path: Path) -> None:
    items = [{"id": name, "prompt": "a cat", "n": 4} for name in ("1", "11", "111")]
    lines, _ = run(tmp_path, items, filename="{id}{index:b}")
    assert_all_there(tmp_path, lines, 12)


@pytest.mark.parametrize("filename", ["picture", "{id}", "{index}", "{model}/{kind}"])
def test_no_template_loses_a_file(sandbox: Sandbox, tmp_path: Path, filename: str) -> None:
    lines, _ = run(tmp_path, [{**item, "n": 2} for item in ITEMS], filename=filename)
    assert_all_there(tmp_path, lines, 10)


def test_runs_without_logical_date_write_into_the_folder_of_their_day(sandbox: Sandbox, tmp_path: Path) -> None:
    for day in (25, 26):
        context = {"ds": None, "dag_run": SimpleNamespace(run_after=datetime(2026, 11, day, tzinfo=UTC))}
        run(tmp_path / str(day), ITEMS[:1], context, filename="{ds}/{id}_{index}")
        assert [path.parent.name for path in pictures(tmp_path / str(day))] == [f"2026-11-{day}"]


def test_results_that_can_never_be_saved_stop_the_batch(sandbox: Sandbox, tmp_path: Path) -> None:
    items = [{"id": str(number), "prompt": "a cat"} for number in range(60)]
    with pytest.raises(errors.ApimartResultRefusedError, match="max_file_bytes"):
        run(tmp_path, items, max_file_bytes=10, max_in_flight=4)
    assert 3 <= len(sandbox.generations) <= 12


def test_a_few_failures_beside_saved_files_stop_nothing() -> None:
    failures = SaveFailures()
    assert not failures.is_undecided
    for _ in range(3):
        failures.begin()
    assert failures.is_undecided
    assert [failures.failed(errors.ApimartDownloadError("x")) for _ in range(2)] == [False, False]
    assert not failures.failed(errors.ApimartResultRefusedError("y"))
    assert failures.failed(errors.ApimartDownloadError("x"))
    failures.saved()
    assert not failures.failed(errors.ApimartDownloadError("x"))


class Gate(ThreadingHTTPServer):
    """APIMart, which answers each submit by a function of the test, and serves pictures."""

    def __init__(self, answer: Callable[[int, str], Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.submits = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if "uploads" in self.path:
            self._reply({"url": f"{self.server.url}/f/0.png", "filename": "x", "content_type": "image/png", "bytes": 1})
            return
        with self.server.lock:
            number = self.server.submits
            self.server.submits += 1
        self._reply(self.server.answer(number, "submit"))

    def do_GET(self) -> None:
        if self.path.startswith("/f/"):
            self._reply(picture(4000, int(Path(self.path).stem)))
        else:
            self._reply(self.server.answer(int(self.path.partition("task_")[2].partition("?")[0]), "status"))

    def _reply(self, value: Any) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "image/png" if isinstance(value, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def gate(monkeypatch: pytest.MonkeyPatch, answer: Callable[[int, str], Any]) -> Iterator[Gate]:
    with Gate(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        connection = {"conn_type": "apimart", "host": server.url, "password": "sk-x"}
        monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", json.dumps(connection))
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def at_once(result: Callable[[int], Any]) -> Callable[[int, str], Any]:
    """Answer every submit with its result, without an id."""
    return lambda number, _: {
        "code": 200,
        "data": {"object": "generation.result", "status": "completed", "result": result(number)},
    }


def later(result: Callable[[int], Any]) -> Callable[[int, str], Any]:
    """Answer every submit with an id, and its status with the result."""

    def answer(number: int, call: str) -> Any:
        if call == "submit":
            return {"code": 200, "data": [{"status": "submitted", "task_id": f"task_{number}"}]}
        return {"code": 200, "data": {"id": f"task_{number}", "status": "completed", "result": result(number)}}

    return answer


def inline(number: int) -> str:
    return "data:image/png;base64," + base64.b64encode(picture(200_000, number)).decode()


RESULTS: dict[str, Callable[[int], Any]] = {
    "data URL": lambda number: {"images": [{"url": inline(number)}]},
    "b64_json": lambda number: {"data": [{"b64_json": inline(number).partition(",")[2]}]},
    "relative": lambda number: {"images": [{"url": f"/f/{number}.png"}]},
    "nested": lambda number: {"images": [[f"/f/{number}.png"]]},
}


@pytest.mark.parametrize("reply", [at_once, later])
@pytest.mark.parametrize("spelling", RESULTS)
def test_results_in_every_spelling_are_saved_without_base64_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, reply: Any, spelling: str
) -> None:
    with gate(monkeypatch, reply(RESULTS[spelling])) as server:
        lines, manifest = run(tmp_path, ITEMS, filename="{generation_id}_{index}")
        assert server.submits == 5
    assert_all_there(tmp_path, lines, 5)
    for written in (json.dumps(lines), json.dumps(manifest, default=str), caplog.text):
        assert inline(0)[22:200] not in written
    assert all(path.stat().st_size < 100_000 for path in (tmp_path / ".apimart").rglob("*") if path.is_file())


def test_a_generation_that_fails_at_once_is_a_failed_item(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def failing(number: int, _: str) -> Any:
        error = {"message": "no cats today", "code": "upstream"}
        return {"code": 200, "data": {"object": "generation.result", "status": "failed", "error": error}}

    with gate(monkeypatch, failing) as server:
        with pytest.raises(errors.ApimartBatchIncompleteError, match=r"1 failed.*[Nn]o cats today"):
            run(tmp_path, ITEMS[:1])
        assert server.submits == 3, "the item and its two retries"


def test_one_url_for_all_results_at_once_is_still_a_file_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with gate(monkeypatch, at_once(lambda number: {"images": [{"url": "/f/7.png"}]})):
        lines, _ = run(tmp_path, ITEMS, filename="{generation_id}_{index}")
    assert_all_there(tmp_path, lines, 5)


def test_outputs_that_appear_a_moment_later_are_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    looks = 0

    def moment_later(number: int) -> Any:
        nonlocal looks
        looks += 1
        return {"images": [{"url": f"/f/{number}.png"}] if looks > 1 else []}

    with gate(monkeypatch, later(moment_later)):
        lines, _ = run(tmp_path, ITEMS[:1])
    assert_all_there(tmp_path, lines, 1)


@pytest.mark.parametrize("reply", [at_once, later])
def test_without_a_destination_an_inline_result_gets_a_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reply: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", tmp_path.as_uri())
    with gate(monkeypatch, reply(RESULTS["data URL"])) as server:
        lines, manifest = run(None, ITEMS[:2])
        assert [line["outputs"][0]["url"] for line in lines] == [f"{server.url}/f/0.png"] * 2
    assert (manifest["completed"], manifest["unsaved"]) == (2, 0)
    assert inline(0)[22:200] not in json.dumps(lines)


@pytest.mark.parametrize("reply", [at_once, later])
def test_without_a_destination_a_result_that_no_url_keeps_fails_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reply: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", tmp_path.as_uri())
    video = "data:video/mp4;base64," + base64.b64encode(b"\x00\x00\x00\x18ftypisom" + bytes(900)).decode()
    with (
        gate(monkeypatch, reply(lambda number: {"videos": [{"url": video}]})),
        pytest.raises(errors.ApimartBatchIncompleteError, match=r"1 not saved.*inside APIMart's reply") as raised,
    ):
        run(None, ITEMS[:1])
    advice = "Set a destination" if reply is at_once else "Give the generation's id to ApimartToObjectStorageOperator"
    assert advice in str(raised.value)


def test_an_inline_result_gets_a_url_by_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    with gate(monkeypatch, later(RESULTS["data URL"])) as server:
        hook = ApimartHook()
        seen = hook.get_generation("task_0")
        # As behind a trigger's event, which carries no content.
        for generation in (seen, generation_from_xcom(seen.to_xcom())):
            assert hook.with_urls(generation).urls == [f"{server.url}/f/0.png"]


def test_an_inline_result_that_cannot_be_uploaded_is_an_error_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    video = "data:video/mp4;base64," + base64.b64encode(b"\x00\x00\x00\x18ftypisom" + bytes(900)).decode()
    with gate(monkeypatch, later(lambda number: {"videos": [{"url": video}]})):
        hook = ApimartHook()
        with pytest.raises(errors.ApimartInlineResultError, match="inside APIMart's reply"):
            hook.with_urls(hook.get_generation("task_0"))


@pytest.mark.parametrize("saves", [True, False])
def test_a_completed_item_without_any_output_fails_the_batch_and_is_read_again(
    sandbox: Sandbox, tmp_path: Path, saves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", tmp_path.as_uri())
    counted: list[str] = []
    stats = SimpleNamespace(incr=lambda name, *_, **__: counted.append(name), timing=lambda *_, **__: None)
    monkeypatch.setattr(GenerationMetrics, "_stats", stats)
    requests: list[dict[str, Any]] = [
        *ITEMS[:1],
        {"id": "empty", "prompt": "nothing", "metadata": {"sandbox": {"outputs": 0}}},
    ]
    for _ in range(2):
        before = len(sandbox.requests)
        with pytest.raises(errors.ApimartBatchIncompleteError, match=r"2 of 2 .* 1 not saved.* holds no output"):
            run(tmp_path if saves else None, requests, check="off")
        (ledger,) = tmp_path.glob("*.jsonl")
        empty = json.loads(ledger.read_text().splitlines()[1])
        assert (empty["status"], empty["files"], empty["cost"]) == ("completed", [], 0)
        assert "holds no output" in empty["reason"]
        assert [each for each in sandbox.requests[before:] if empty["generation_id"] in each.path]
    assert sandbox.billed == sandbox.accepted == 2
    assert counted.count(COMPLETED) == 2


@pytest.mark.parametrize("clears", [0, 1, 2])
def test_an_item_without_output_that_apimart_has_forgotten_is_never_paid_again(
    sandbox: Sandbox, tmp_path: Path, clears: int
) -> None:
    nothing = {"id": "empty", "prompt": "nothing", "metadata": {"sandbox": {"outputs": 0}}}
    make(sandbox, tmp_path, [nothing])
    sandbox.reset()
    for number in range(clears + 1):
        task = replace(TASK, clear_marker=TASK.clear_marker + number)
        end = make(sandbox, tmp_path, [nothing], task=task)
        assert (end.entries[0].status, end.counts.missing) == ("completed", 1)
    assert sandbox.accepted == 0
