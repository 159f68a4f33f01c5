from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.links.gallery import ApimartGalleryLink
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.bare import execute, task_context

REQUESTS = [{"prompt": "a cat"}, {"prompt": "a dog"}]


def operator(tmp_path: Path, **arguments: Any) -> ApimartBatchGenerationOperator:
    given: dict[str, Any] = {
        "model": "gemini-2.5-flash-image-preview",
        "requests": REQUESTS,
        "destination": tmp_path.as_uri(),
    }
    made = ApimartBatchGenerationOperator(task_id="generate", **given)
    for name, value in arguments.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"requests": [{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "x"}]}, "has the same id"),
        ({"requests": "/nowhere/requests.jsonl"}, "cannot be read"),
        ({"requests": ""}, "cannot be read|neither a list|is relative"),
        ({"requests": {"prompt": "x"}}, "neither a list of items"),
        ({"requests": None}, "neither a list of items"),
        ({"requests": b"[]"}, "neither a list of items"),
        ({"requests": '["text"]'}, "is str, not an object"),
        ({"max_cost": "much"}, "max_cost must be an amount"),
        ({"max_cost": -1}, "max_cost must be an amount"),
        ({"max_cost": "NaN"}, "max_cost must be an amount"),
        ({"max_cost": True}, "max_cost must be an amount"),
        ({"destination": "pictures"}, "is relative"),
        ({"destination": "file://pictures"}, "is relative"),
        ({"filename": None}, "not a text"),
        ({"allow_private_hosts": 5}, "allow_private_hosts"),
        ({"apimart_conn_id": None}, "apimart_conn_id must be the id of a connection"),
        ({"filename": "{nope}"}, "is no field"),
        ({"filename": "{id:03d}"}, "is invalid"),
        ({"filename": "{map_index:c}"}, "is invalid|range"),
        ({"filename": "{index:999999999}"}, "wider than 120 characters"),
        ({"max_file_bytes": "5GB"}, "max_file_bytes"),
        ({"max_total_bytes": -1}, "max_total_bytes"),
        ({"allow_private_hosts": ["http://cdn.internal/"]}, "allow_private_hosts"),
    ],
)
def test_bad_input_costs_nothing_and_is_not_retried(
    sandbox: Sandbox, tmp_path: Path, arguments: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match=reason):
        operator(tmp_path, **arguments).execute(task_context())
    assert sandbox.requests == ()


def test_a_relative_place_of_ledgers_is_refused_before_paying(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker wouldn't find what was paid for."""
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", "ledgers")
    with pytest.raises(errors.ApimartConfigurationError, match=r"\[apimart\] ledger_path 'ledgers' is relative"):
        operator(tmp_path, destination=None).execute(task_context())
    assert sandbox.requests == ()


@pytest.mark.parametrize("method", ["to_dicts", "to_pylist", "to_dict"])
def test_requests_may_be_a_table(sandbox: Sandbox, tmp_path: Path, method: str) -> None:
    """Polars has ``to_dicts()`` and its own ``to_dict()``, pyarrow ``to_pylist()``, pandas ``to_dict("records")``."""
    rows = [{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "y"}]
    read = {"to_dict": lambda orient: rows if orient == "records" else None}.get(method, lambda: rows)
    manifest = operator(tmp_path, requests=SimpleNamespace(columns=["id", "prompt"], **{method: read})).execute(
        task_context()
    )
    assert manifest["completed"] == sandbox.billed == 2


def test_a_connection_that_is_not_defined_costs_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(errors.ApimartConfigurationError, match="isn't defined"):
        operator(tmp_path, apimart_conn_id="nobody").execute(task_context())
    assert sandbox.requests == ()


@pytest.mark.parametrize(
    "arguments",
    [
        {"modality": "sculpture"},
        {"max_in_flight": 0},
        {"max_in_flight": True},
        {"max_in_flight": 1.5},
        {"item_retries": -1},
        {"max_failures": -1},
        {"max_failures": 1.5},
        {"max_failures": True},
        {"poll_interval": 0},
        {"on_unknown_outcome": "guess"},
    ],
)
def test_impossible_arguments_are_errors_when_the_dag_is_read(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        ApimartBatchGenerationOperator(task_id="generate", requests=REQUESTS, **arguments)


def test_the_trigger_lets_the_task_fail_where_only_it_lacks_the_connection(tmp_path: Path) -> None:
    """It doesn't defer again: that would go on for ever."""
    event = {"finished": [], "error": errors.ApimartConfigurationError("no such thing").to_json(), "started_at": 1.0}
    with pytest.raises(errors.ApimartConfigurationError, match="no such thing"):
        operator(tmp_path).execute_complete(task_context(), event)


def test_rendered_requests_are_read(sandbox: Sandbox, tmp_path: Path) -> None:
    running = task_context()
    manifest = operator(tmp_path, requests=str(REQUESTS), poll_interval=0.05).execute(running)
    assert manifest["completed"] == manifest["files"] == sandbox.billed == 2
    assert running["ti"].pushed["manifest"] == manifest


def test_the_first_failures_are_in_the_log(sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    requests = [{"id": "bad", "prompt": "[sandbox: fail no cats today]"}, *REQUESTS]
    with pytest.raises(errors.ApimartBatchIncompleteError):
        operator(tmp_path, requests=requests, poll_interval=0.05).execute(task_context())
    listed = [record.message for record in caplog.records if record.message.startswith("Item 'bad' failed: ")]
    assert len(listed) == 1
    assert "No cats today" in listed[0]


@pytest.mark.parametrize(
    ("version", "base_url", "page"),
    [
        ("3.3.2", "http://airflow", "http://airflow/apimart/gallery?dag_id=dag&run_id=run&task_id=generate"),
        ("3.1.8", "http://airflow/base/", "http://airflow/base/apimart/gallery?dag_id=dag&run_id=run&task_id=generate"),
        ("3.1.8", "", "/apimart/gallery?dag_id=dag&run_id=run&task_id=generate"),
        ("3.0.6", "http://airflow", ""),
        ("2.11.2", "http://airflow", ""),
    ],
)
def test_the_task_links_to_its_gallery_in_airflow_where_there_is_one(
    sandbox: Sandbox, tmp_path: Path, version: str, base_url: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    task, running = operator(tmp_path, poll_interval=0.05), task_context()
    with monkeypatch.context() as patched:
        patched.setattr("airflow.__version__", version)
        task.execute(running)
    assert task.gallery_link == page
    assert running["ti"].pushed.get("apimart_gallery_link") == (None if version == "3.0.6" else page)


@pytest.mark.parametrize("gallery", ["https://files.example/a.gallery.html", None])
def test_a_gallery_on_a_web_server_is_linked_itself_below_3_1(
    tmp_path: Path, gallery: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow.__version__", "3.0.6")
    task = operator(tmp_path)
    task.link(task_context(), gallery)
    assert ApimartGalleryLink().get_link(task, ti_key=None) == (gallery or "")  # type: ignore[arg-type]  # not read


LINES = "".join(json.dumps(each) + "\n" for each in REQUESTS)


@pytest.mark.parametrize("form", [str, Path, Path.as_uri, lambda path: ObjectStoragePath(path.as_uri())])
@pytest.mark.parametrize("content", [LINES, json.dumps(REQUESTS), "\ufeff" + LINES])
def test_requests_may_be_a_file_however_it_is_named(
    sandbox: Sandbox, tmp_path: Path, form: Callable[[Path], Any], content: str
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(content, encoding="utf-8")
    manifest = operator(tmp_path, requests=form(path), poll_interval=0.05).execute(task_context())
    assert manifest["completed"] == sandbox.billed == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id,prompt\n1,a cat\n2,a dog\n", "is not JSON Lines: line 1 is 'id,prompt'"),
        ("id\tprompt\n" * 60, "is not JSON Lines: line 1 is"),
    ],
)
def test_a_file_of_another_kind_is_reported_in_one_line(
    sandbox: Sandbox, tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "items.csv"
    path.write_text(content)
    with pytest.raises(errors.ApimartInvalidRequestError, match=reason) as raised:
        operator(tmp_path, requests=path).execute(task_context())
    assert "\n" not in str(raised.value)
    assert sandbox.requests == ()


@pytest.mark.parametrize("form", [str, Path])
def test_a_relative_path_is_called_relative(sandbox: Sandbox, tmp_path: Path, form: Callable[[str], Any]) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match=r"items\.jsonl is relative, and there is no"):
        operator(tmp_path, requests=form("items.jsonl")).execute(task_context())


def test_a_healthy_batch_is_logged_without_a_doubt_and_each_fact_once(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO")
    requests = [{"prompt": f"a cat {number}"} for number in range(12)]
    execute(operator(tmp_path, requests=requests, deferrable=True, poll_interval=0.05, max_in_flight=3), task_context())
    # Airflow's loggers write to either, or to both.
    logs = (capsys.readouterr().out, caplog.text)
    assert max(log.count("Items of the batch: 12") for log in logs) == 1
    assert not [log for log in logs if "unknown outcome" in log]


@pytest.mark.parametrize("event", [None, {}, "odd", {"started_at": None}])
def test_an_event_that_says_nothing_is_no_end(sandbox: Sandbox, tmp_path: Path, event: Any) -> None:
    manifest = operator(tmp_path, poll_interval=0.05).execute_complete(task_context(), event)
    assert manifest["completed"] == sandbox.billed == 2


def test_a_task_that_is_killed_before_it_runs_is_killed_quietly(sandbox: Sandbox, tmp_path: Path) -> None:
    task = operator(tmp_path, poll_interval=0.05)
    task.on_kill()
    assert sandbox.billed == 0
    assert task.execute(task_context())["completed"] == sandbox.billed == 2
