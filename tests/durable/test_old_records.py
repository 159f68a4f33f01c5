"""Removal of records: whole or gone at any moment, and never beside a task that writes."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.durable.fact_files import FactFiles
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.fence import FENCE
from airflow_provider_apimart.durable.old_records import records_of_batches, records_of_tasks
from airflow_provider_apimart.durable.retention import Retention
from airflow_provider_apimart.results.storage.atomic_write import write_whole
from tests.batch.places import BUCKET, Place

pytestmark = pytest.mark.slow

DAYS = timedelta(days=30)
NOW = time.time()


def refused(name: str, at: float = 0.0) -> Fact:
    return Fact(FactKind.REFUSED, name, at, {"key": "k", "send": "s", "reason": "no"})


@pytest.fixture(params=[Place.LOCAL, Place.MEMORY, Place.S3])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStoragePath:
    """Return an empty directory."""
    if request.param is Place.S3:
        request.getfixturevalue("s3").bucket(BUCKET)
    request.param.attach()
    return ObjectStoragePath(request.param.uri(tmp_path))


def written(folder: ObjectStoragePath) -> list[Fact]:
    """Write a record of two tries, of which the first was not compacted, and return its facts."""
    found = [refused("a"), refused("b"), refused("c")]
    first = FactFiles(folder)
    first.append(found[:1])
    first.append(found[1:2])
    first.claim()
    second = FactFiles(folder)
    second.load()
    second.append(found[2:])
    second.claim()
    return found


class _DiedError(BaseException):
    """The process dies here."""


def test_at_each_moment_it_is_whole_or_gone(place: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch) -> None:
    for steps in range(20):
        folder = place / f"record {steps}"
        facts = written(folder)
        left = [steps]
        files = FactFiles(folder)
        files.load()

        def step(act: object, left: list[int] = left) -> object:
            def stepping(*arguments: object) -> object:
                if not left[0]:
                    raise _DiedError
                left[0] -= 1
                return act(*arguments)  # type: ignore[operator]  # a method of the folder

            return stepping

        for name in ("write", "remove"):
            monkeypatch.setattr(files.folder, name, step(getattr(files.folder, name)))
        try:
            assert files.remove()
        except _DiedError:
            found = FactFiles(folder).load()
            assert {fact.item for fact in found} in (set(), {fact.item for fact in facts})
            continue
        assert FactFiles(folder).load() == []
        assert files.folder.names() == []
        return
    raise AssertionError("it takes more steps than were tried")


def test_a_record_to_which_a_task_writes_stays(place: ObjectStoragePath) -> None:
    facts = written(place / "record")
    files = FactFiles(place / "record")
    files.load()
    rival = FactFiles(place / "record")
    rival.load()
    rival.append([refused("d")])
    assert not files.remove()
    assert {fact.item for fact in FactFiles(place / "record").load()} == {*(fact.item for fact in facts), "d"}


def test_records_are_found_by_what_they_are(place: ObjectStoragePath) -> None:
    month = place / "records" / "2026-01"
    FactFiles(month / "old").append([refused("", NOW - 40 * 86_400)])
    FactFiles(month / "young").append([refused("", NOW)])
    damaged = FactFiles(month / "damaged")
    damaged.append([refused("")])
    damaged.folder.write("0-000001.facts", b"nonsense\n")
    damaged.folder.write(FENCE, b"nonsense")
    # Somebody's file, and a month that is still to come.
    write_whole(month / "foreign" / "x.png", b"x")
    FactFiles(place / "records" / "2999-01" / "later").append([refused("")])
    FactFiles(place / ".apimart" / "batch").append([refused("a")])
    found = {record.retention for record in records_of_tasks(place, DAYS, NOW)}
    assert found == {Retention.REMOVABLE, Retention.YOUNG, None}
    (batch,) = records_of_batches(place, DAYS, NOW)
    assert (batch.retention, batch.files) == (Retention.REMOVABLE, 1)
    assert batch.bytes == sum((place / ".apimart" / "batch" / name).stat().st_size for name in _names(place))
    assert batch.remove()
    assert list(records_of_batches(place, DAYS, NOW)) == []


def _names(place: ObjectStoragePath) -> list[str]:
    return FactFiles(place / ".apimart" / "batch").folder.names()


def test_a_place_without_records_has_none(place: ObjectStoragePath) -> None:
    assert list(records_of_tasks(place / "nowhere", DAYS, NOW)) == []
    assert list(records_of_batches(place / "nowhere", DAYS, NOW)) == []
