"""Exports of a batch, read back by the libraries that they are for."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.batch.exports.export_folder import ExportFolder
from airflow_provider_apimart.batch.exports.huggingface import metadata
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.durable.task_identity import task_identity
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.bare import execute, task_context
from tests.batch.places import BUCKET, Place, read
from tests.s3 import S3Server

MODEL = "gemini-3-pro-image-preview"
# Line ends that a reader may see where there is none, a quote, and letters beyond the Basic Multilingual Plane.
PROMPTS = ['A "fox"\nin snow', "Ein Reiher\u2028bei Nacht", "狐 \U0001f98a", "a, b\r\nc"]
ITEMS = [{"id": f"item {number}", "prompt": prompt} for number, prompt in enumerate(PROMPTS)]


def operator(destination: str | None, requests: list[dict[str, Any]] = ITEMS, **arguments: Any) -> Any:
    return ApimartBatchGenerationOperator(
        **{
            "task_id": "generate",
            "model": MODEL,
            "requests": requests,
            "destination": destination,
            "exports": ["huggingface", "parquet"],
            "poll_interval": 0.05,
            **arguments,
        }
    )


def run(
    destination: str | None, requests: list[dict[str, Any]] = ITEMS, max_tries: int = 0, **arguments: Any
) -> dict[str, Any]:
    """Run a batch, and return the manifest that it has pushed, also if it has failed."""
    context = task_context(max_tries=max_tries)
    made = operator(destination, requests, **arguments)
    try:
        execute(made, context)
    finally:
        manifest = context["ti"].pushed["manifest"]
    return dict(manifest)


def ledger(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read(manifest["ledger"]).decode().split("\n")[:-1]]


def metadata_lines(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read(manifest["exports"]["huggingface"]).decode().split("\n")[:-1]]


def parquet(manifest: Mapping[str, Any]) -> Any:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    return pyarrow.read_table(io.BytesIO(read(manifest["exports"]["parquet"])))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return the loader of Hugging Face's library, which reaches no network."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    return lambda *names, **more: datasets.load_dataset(
        *names, **more, split="train", cache_dir=str(tmp_path / "cache")
    )


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_destination_is_a_data_set(sandbox: Sandbox, tmp_path: Path, load: Any, deferrable: bool) -> None:
    folder = tmp_path / "a folder"
    manifest = run(f"file://{folder}", filename="{kind}/{id}_{index}", n=2, deferrable=deferrable)
    # What the loader must not take for the batch's.
    (folder / "image" / "foreign.png").write_bytes(b"no picture")
    assert manifest["exports"]["huggingface"] == f"file://{folder}/metadata.jsonl"
    for rows in (load("imagefolder", data_dir=str(folder)), load(str(folder))):
        assert sorted((row["text"], row["id"], row["index"]) for row in rows) == sorted(
            (item["prompt"], item["id"], index) for item in ITEMS for index in (0, 1)
        )
        assert all(row["image"].size[0] > 100 for row in rows)
        assert {row["generation_id"] for row in rows} == {line["generation_id"] for line in ledger(manifest)}
        assert {row["sha256"] for row in rows} == {f["sha256"] for line in ledger(manifest) for f in line["files"]}


def test_of_batches_that_begin_at_once_in_one_directory_one_pays(sandbox: Sandbox, tmp_path: Path) -> None:
    """As mapped ones do: each has checked before any of them has written."""
    first, second = (operator(tmp_path.as_uri(), exports=["huggingface"]) for _ in range(2))
    rival = task_context()
    rival["ti"].map_index = 1
    first._exports_of(task_identity(task_context()["ti"])).check()
    with pytest.raises(errors.ApimartDestinationError, match=r"metadata\.jsonl of another batch"):
        execute(second, rival)
    assert sandbox.accepted == 0
    execute(first, task_context())
    assert sandbox.billed == len(ITEMS)
    assert (tmp_path / "metadata.jsonl").read_text().count("\n") == len(ITEMS)


def test_absurd_numbers_are_left_out_of_columns(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from airflow_provider_apimart.batch.exports.parquet import table

    file = {"uri": "file:///x.png", "bytes": 2**63, "sha256": "0", "media_type": "image/png"}
    entry = LedgerEntry(
        "a", 0, requested=10**30, cost=Decimal("1e19"), saved_cost=Decimal("-9999999999999999999"), files=(file,),
        quote={"cost": 1e300}, tried_at=1e300, clear_marker=-(2**31),
    )  # fmt: skip
    (row,) = table([entry]).to_pylist()
    absurd = [row["requested"], row["cost"], row["files"][0]["bytes"], row["quote"]["cost"], row["tried_at"]]
    assert absurd == [None] * 5
    assert row["saved_cost"] == Decimal("-9999999999999999999")


def test_the_ledger_has_typed_columns(sandbox: Sandbox, tmp_path: Path) -> None:
    manifest = run(tmp_path.as_uri(), n=2)
    table, lines = parquet(manifest), ledger(manifest)
    assert table.column_names == [each.name for each in fields(LedgerEntry)] == list(lines[0])
    types = {each.name: str(each.type) for each in table.schema}
    assert types["cost"] == "decimal128(28, 9)"
    assert {types[name] for name in ("submitted", "completed", "saved")} == {"timestamp[us, tz=UTC]"}
    for row, line in zip(table.to_pylist(), lines, strict=True):
        assert (row["id"], row["prompt"], row["files"]) == (line["id"], line["prompt"], line["files"])
        assert row["cost"] == Decimal(str(line["cost"])) > 0
        assert row["submitted"] == datetime.fromisoformat(line["submitted"])
        assert row["submitted"].utcoffset() == datetime.now(UTC).utcoffset()
        assert json.loads(row["request"]) == line["request"] == {"n": 2}
    assert sum(row["cost"] for row in table.to_pylist()) == Decimal(str(manifest["cost"]))


def test_a_batch_that_fails_is_exported_as_far_as_it_is_made(sandbox: Sandbox, tmp_path: Path) -> None:
    context = task_context()
    items = [*ITEMS, {"id": "broken", "prompt": "[sandbox: fail no luck]"}]
    with pytest.raises(errors.ApimartBatchIncompleteError):
        execute(operator(tmp_path.as_uri(), items, item_retries=0), context)
    manifest = context["ti"].pushed["manifest"]
    assert [line["id"] for line in metadata_lines(manifest)] == [item["id"] for item in ITEMS]
    statuses = {row["id"]: row["status"] for row in parquet(manifest).to_pylist()}
    assert statuses == {**dict.fromkeys((str(item["id"]) for item in ITEMS), "completed"), "broken": "failed"}


def test_a_retry_replaces_its_own_exports_and_pays_for_nothing_again(sandbox: Sandbox, tmp_path: Path) -> None:
    items = [*ITEMS[:2], {"id": "later", "prompt": "[sandbox: fail once]"}]
    with pytest.raises(errors.ApimartBatchIncompleteError):
        run(tmp_path.as_uri(), items, item_retries=0)
    manifest = run(tmp_path.as_uri(), items, item_retries=0)
    assert sandbox.billed == 3
    assert [line["id"] for line in metadata_lines(manifest)] == ["item 0", "item 1", "later"]
    assert parquet(manifest).num_rows == 3


def test_a_file_of_somebody_else_is_never_overwritten(sandbox: Sandbox, tmp_path: Path) -> None:
    foreign = tmp_path / "metadata.jsonl"
    foreign.write_text("mine")
    with pytest.raises(errors.ApimartDestinationError, match=r"metadata\.jsonl of another batch or of somebody else"):
        operator(tmp_path.as_uri()).execute(task_context())
    assert (sandbox.billed, foreign.read_text()) == (0, "mine")


def test_a_file_of_another_run_is_never_overwritten(sandbox: Sandbox, tmp_path: Path) -> None:
    manifest = run(tmp_path.as_uri())
    context = task_context()
    context["ti"].run_id = "another"
    with pytest.raises(errors.ApimartDestinationError, match="destination of its own"):
        operator(tmp_path.as_uri()).execute(context)
    assert sandbox.billed == len(ITEMS) == len(metadata_lines(manifest))


def test_a_file_that_appears_while_the_batch_runs_is_kept_and_reported(sandbox: Sandbox, tmp_path: Path) -> None:
    context = task_context()
    made = operator(tmp_path.as_uri(), exports=["huggingface"])
    exports = made._exports_of
    # After the check, before the end.
    made._exports_of = lambda task: _Meanwhile(exports(task), tmp_path / "metadata.jsonl")
    with pytest.raises(errors.ApimartDestinationError, match="isn't overwritten"):
        made.execute(context)
    manifest = context["ti"].pushed["manifest"]
    assert (manifest["completed"], manifest["files"], manifest["exports"]) == (4, 4, {})
    assert (tmp_path / "metadata.jsonl").read_text() == "mine"
    assert not list((tmp_path / ".apimart" / "partial").iterdir())


class _Meanwhile:
    """Exports, beside which somebody writes a file after the check."""

    def __init__(self, exports: Any, path: Path) -> None:
        self._exports, self._path = exports, path

    def check(self) -> None:
        self._exports.check()
        self._path.write_text("mine")

    def write(self, entries: Any) -> Any:
        return self._exports.write(entries)


def test_without_pyarrow_nothing_is_paid(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python marks a module that can't be imported.
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.ApimartConfigurationError, match="needs pyarrow, which isn't installed") as raised:
        operator(tmp_path.as_uri()).execute(task_context())
    assert "airflow-provider-apimart[parquet]" in str(raised.value)
    assert sandbox.billed == 0


@pytest.mark.parametrize("exports", [["csv"], "csv", ["parquet", 3], 5, None, {"parquet": 1}])
def test_a_name_that_is_none_is_refused_when_the_dag_is_parsed(tmp_path: Path, exports: Any) -> None:
    with pytest.raises(errors.ApimartArgumentError, match="must be a list of 'huggingface' and 'parquet'"):
        operator(tmp_path.as_uri(), exports=exports)


def test_what_describes_files_needs_a_destination(sandbox: Sandbox) -> None:
    with pytest.raises(errors.ApimartArgumentError, match="'huggingface' needs a destination"):
        operator(None)
    assert parquet(run(None, exports="parquet")).num_rows == len(ITEMS)


def test_nothing_is_exported_unasked_or_of_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    assert run(tmp_path.as_uri(), ITEMS[:1], exports=[])["exports"] == {}
    assert run((tmp_path / "empty").as_uri(), [])["exports"] == {}
    assert not [
        path for path in tmp_path.rglob("*") if path.suffix in (".parquet", ".jsonl") and "ledger" not in path.name
    ]


def test_exports_lie_beside_the_results_in_a_store(sandbox: Sandbox, s3: S3Server, tmp_path: Path) -> None:
    s3.bucket(BUCKET)
    uri = Place.S3.uri(tmp_path)
    manifest = run(uri)
    assert manifest["exports"]["huggingface"] == f"{uri}/metadata.jsonl"
    names = [line["file_name"] for line in metadata_lines(manifest)]
    assert [f"{uri}/{name}" for name in names] == [file["uri"] for line in ledger(manifest) for file in line["files"]]
    assert parquet(manifest).num_rows == len(ITEMS)
    context = task_context()
    context["ti"].run_id = "another"
    with pytest.raises(errors.ApimartDestinationError, match="destination of its own"):
        operator(uri).execute(context)


TYPES = ("image/png", "video/mp4", "audio/mpeg", "application/octet-stream")
FILES = st.builds(
    lambda folder, name, media_type: {"uri": f"{folder}{name}", "bytes": 1, "sha256": "ab", "media_type": media_type},
    st.sampled_from(["file:///data/out/", "file:///data/out/deep/", "file:///data/other/", "s3://bucket/out/"]),
    st.sampled_from(["a.png", "ü b.mp4", "c"]),
    st.sampled_from(TYPES),
)
MONEY = st.decimals(0, 10**9, places=9)
ENTRIES = st.builds(
    LedgerEntry,
    id=st.text(min_size=1),
    position=st.integers(0, 2**31 - 1),
    status=st.sampled_from(ItemStatus),
    generation_id=st.none() | st.text(),
    prompt=st.none() | st.text(),
    model=st.none() | st.text(),
    result=st.none() | st.dictionaries(st.text(), st.text() | st.integers() | st.floats()),
    files=st.lists(FILES, max_size=3).map(tuple),
    outputs=st.lists(st.fixed_dictionaries({"url": st.none() | st.text(), "kind": st.just("image")}), max_size=2),
    cost=st.none() | MONEY,
    submitted=st.none()
    | st.datetimes(datetime(2000, 1, 1), datetime(2900, 1, 1)).map(lambda at: f"{at.isoformat()}+00:00"),
    tried_at=st.none() | st.floats(1.0, 4e9),
    quote=st.none() | st.fixed_dictionaries({"cost": st.none() | st.floats(0, 1e6), "certainty": st.text()}),
    earlier=st.lists(st.fixed_dictionaries({"generation_id": st.text(), "cost": st.none() | MONEY}), max_size=2),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(ENTRIES, max_size=5))
def test_every_file_has_a_line_or_is_counted(entries: list[LedgerEntry]) -> None:
    lines, left_out = metadata(entries, ExportFolder("/data/out", "batch"))
    assert len(lines) + left_out == sum(len(entry.files) for entry in entries)
    assert all(isinstance(value, str | int) for line in lines for value in line.values())
    assert len({line["media_type"].partition("/")[0] for line in lines}) <= 1
    names = {line["file_name"] for line in lines}
    assert not any(name.startswith("/") or "://" in name or ".." in name for name in names)
    inside = [f["uri"] for entry in entries for f in entry.files if f["uri"].startswith("file:///data/out/")]
    assert {f"file:///data/out/{name}" for name in names} <= set(inside)


@settings(deadline=None, max_examples=50)
@given(st.lists(ENTRIES, max_size=4))
def test_every_ledger_has_the_same_columns(entries: list[LedgerEntry]) -> None:
    pytest.importorskip("pyarrow")
    from airflow_provider_apimart.batch.exports.parquet import schema, table

    written = table(entries)
    assert written.schema == schema()
    for row, entry in zip(written.to_pylist(), entries, strict=True):
        assert (row["id"], row["position"], row["status"], row["cost"]) == (
            entry.id,
            entry.position,
            entry.status,
            entry.cost,
        )
        assert [file["uri"] for file in row["files"]] == [file["uri"] for file in entry.files]
        assert [each["cost"] for each in row["earlier"]] == [each["cost"] for each in entry.earlier]
