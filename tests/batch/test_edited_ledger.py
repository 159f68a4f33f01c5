"""A ledger that stands for its record and was edited: it is read, or refused by the name of the item."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.batch.entry_from_facts import entry_of_record
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.version_1 import earlier_facts
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.item_record import fold
from airflow_provider_apimart.durable.item_status import ItemStatus

FINGERPRINT = "f" * 64
LINE: dict[str, Any] = {
    "id": "a", "position": 0, "status": "completed", "generation_id": "task_1", "modality": "image", "model": "m",
    "prompt": "a cat", "reason": "no luck", "requested": 1, "outputs": [{"url": "https://x/1.png", "kind": "image"}],
    "result": None, "files": [{"uri": "file:///1.png", "bytes": 1, "sha256": "0" * 64, "media_type": "image/png"}],
    "cost": 0.05, "submitted": "2026-11-26T12:00:00.000+00:00", "completed": "2026-11-26T12:00:01+00:00",
    "saved": "2026-11-26T12:00:02+00:00", "clear_marker": 0, "tried_at": 5.0, "quote": None, "request": {"n": 1},
    "reused": None, "saved_cost": None, "earlier": [{"generation_id": "task_0", "status": "completed", "cost": 0.05}],
    "submission": {
        "state": "submitted", "fingerprint": FINGERPRINT, "clear_marker": 0, "attempt": 1, "idempotency_key": "k",
        "key_scope": "s", "recorded_at": 5.0, "generation": {"generation_id": "task_1"}, "uploads": {},
    },
}  # fmt: skip
REUSED = {
    **LINE,
    "status": "reused",
    "earlier": [],
    "submission": {"state": "reused", "fingerprint": FINGERPRINT, "recorded_at": 5.0},
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(line: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in line.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, inner) for inner in value)


def with_change(line: dict[str, Any], place: tuple[str, ...], value: Any, *, removes: bool) -> dict[str, Any]:
    changed = json.loads(json.dumps(line))
    *outer, name = place
    target = changed[outer[0]] if outer else changed
    if removes:
        del target[name]
    else:
        target[name] = value
    return dict(changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory for ledgers."""
    return tmp_path_factory.mktemp("edited")


def facts_of(folder: Path, line: dict[str, Any]) -> list[Any]:
    ledger = folder / "x.ledger.jsonl"
    ledger.write_text(json.dumps(line) + "\n")
    return list(earlier_facts(ObjectStoragePath(ledger.as_uri()), Folder(ObjectStoragePath((folder / "s").as_uri()))))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_changed_field_is_read_or_refused_by_name(folder: Path, data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([LINE, REUSED]))
    place = data.draw(st.sampled_from(list(places(line))))
    changed = with_change(line, place, data.draw(values), removes=data.draw(st.booleans()))
    try:
        facts = facts_of(folder, changed)
    except ValueError:
        return
    for name, record in fold(facts).items():
        record.check()
        entry_of_record(name, record, 0).to_json()


def test_a_wrong_field_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="the line of item 'a': the field 'modality' of a reused fact holds NoneType"):
        facts_of(folder, with_change(REUSED, ("modality",), None, removes=True))


@settings(deadline=None)
@given(
    st.none() | st.dictionaries(st.sampled_from(["text", "images", "objects"]), st.integers(), max_size=2),
    st.booleans(),
    st.booleans(),
    st.none() | st.just("APIMart's reply holds no output"),
)
def test_nothing_seems_empty_that_is_known_from_the_ledger_alone(
    folder: Path, result: dict[str, Any] | None, has_output: bool, has_file: bool, reason: str | None
) -> None:
    """As after `airflow apimart clean` has removed the record, and for ledgers of version 1.0.0."""
    line = LedgerEntry(
        "a",
        0,
        ItemStatus.COMPLETED,
        generation_id="task_1",
        modality="image",
        reason=reason,
        outputs=({"url": "https://files.example/a.png", "kind": "image"},) if has_output else (),
        result=result,
        files=({"uri": "file:///a.png"},) if has_file else (),
    )
    has_values = bool(result) and set(result or {}) != {"images"}
    assert line.is_empty == bool(reason and not (has_values or has_output or has_file))
    for written in (line.to_json(), {name: value for name, value in line.to_json().items() if name != "result"}):
        (record,) = fold(facts_of(folder, written)).values()
        assert line.is_empty or not entry_of_record("a", record, 0).is_empty
