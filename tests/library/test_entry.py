"""Entries survive their journey; anything else is none."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api.generation import OutputKind
from airflow_provider_apimart.durable.checksummed_json import checked_json, with_checksum
from airflow_provider_apimart.library.entry import EntryFile, LibraryEntry, Maker, entry_from_bytes, identity_and_time
from airflow_provider_apimart.results.storage.kept_file import KeptFile
from tests.library.support import IDENTITY, NOON, entry, saved

text = st.text('ab é/.\u2028"', max_size=9).map(str.strip)
files = st.builds(
    EntryFile,
    st.builds(KeptFile, st.builds(saved, text.filter(bool), st.binary(max_size=9)), st.none() | text),
    st.sampled_from(list(OutputKind)),
)
entries = st.builds(
    entry,
    generation_id=text.filter(bool),
    request=st.dictionaries(text, st.none() | st.integers() | text | st.lists(text, max_size=2), max_size=3),
    files=st.lists(files, min_size=1, max_size=3).map(tuple),
    cost=st.none() | st.decimals(0, 100, places=4).map(lambda cost: cost.normalize()),
    completed=st.integers(0, 10**8).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    made_by=st.builds(Maker, text, text, text, st.integers(-1, 9), st.none() | text),
    result=st.dictionaries(text, text, max_size=2),
)


@given(entries)
def test_an_entry_survives_its_journey(kept: LibraryEntry) -> None:
    assert entry_from_bytes(kept.name, kept.to_bytes()) == kept
    assert identity_and_time(kept.name) == (kept.identity, kept.completed)


@given(entries, st.data())
def test_a_damaged_entry_is_none(kept: LibraryEntry, data: st.DataObject) -> None:
    content = bytearray(kept.to_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r"."):
        entry_from_bytes(kept.name, bytes(content))
    with pytest.raises(ValueError, match=r"."):
        entry_from_bytes(kept.name, kept.to_bytes()[:place])


SAID: dict[str, Any] = checked_json(entry().to_bytes().decode())


@pytest.mark.parametrize(
    "change",
    [
        {"apimart_result": 2},
        {"apimart_result": None},
        {"identity": "x" * 64},
        {"identity": IDENTITY.upper()},
        {"generation_id": ""},
        {"generation_id": "task_other"},
        {"generation_id": 5},
        {"generation_id": "\ud800"},
        {"files": [{**SAID["files"][0], "uri": "file:///\ud800.png"}]},
        {"files": [{**SAID["files"][0], "uri": ""}]},
        {"modality": "sculpture"},
        {"request": []},
        {"files": []},
        {"files": [5]},
        {"files": [{**SAID["files"][0], "sha256": "short"}]},
        {"files": [{**SAID["files"][0], "bytes": "5"}]},
        {"files": [{**SAID["files"][0], "bytes": -5}]},
        {"files": [{**SAID["files"][0], "media_type": "text/html"}]},
        {"files": [{**SAID["files"][0], "kind": "statue"}]},
        {"files": [{**SAID["files"][0], "version": 5}]},
        {"cost": "free"},
        {"cost": True},
        {"completed": "yesterday"},
        {"completed": "2026-11-27T12:00:00+00:00"},
        {"result": None},
        {"made_by": {}},
    ],
    ids=str,
)
def test_what_is_no_entry_is_refused(change: dict[str, Any]) -> None:
    with_own_name = entry(generation_id=change["generation_id"]) if change.get("generation_id") == "\ud800" else entry()
    with pytest.raises(ValueError, match=r"."):
        entry_from_bytes(with_own_name.name, with_checksum({**SAID, **change}).encode())


@pytest.mark.parametrize("cost", [-5, float("nan"), float("inf"), 1e300, None])
def test_a_cost_that_is_none_saves_nothing(cost: float | None) -> None:
    assert entry_from_bytes(entry().name, with_checksum({**SAID, "cost": cost}).encode()).cost is None


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[]", b"\xff\xfe", b"[" * 10_000, json.dumps(SAID).encode()])
def test_a_foreign_file_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        entry_from_bytes(entry().name, content)


@pytest.mark.parametrize(
    "name", ["README.txt", "x.json", f"{IDENTITY}.json", f"{IDENTITY}.20261399T000000.{'0' * 16}.json"]
)
def test_a_name_of_another_form_is_no_entrys(name: str) -> None:
    assert identity_and_time(name) is None


def test_generations_of_one_second_have_names_of_their_own() -> None:
    assert len({entry(number).name for number in range(100)}) == 100


def test_a_reused_generation_costs_nothing() -> None:
    generation = entry(3).generation()
    assert (generation.reused, generation.cost, generation.urls) == ("task_3", Decimal(0), [])
    assert not generation.missing_outputs
