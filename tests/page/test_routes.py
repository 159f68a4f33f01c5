"""Routes of the pages, with results of real operators."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from airflow_provider_apimart.exceptions import ApimartGenerationFailedError
from airflow_provider_apimart.page_index.entry import DaySpending, IndexEntry, Kind, State
from airflow_provider_apimart.page_index.writing import IndexFile
from airflow_provider_apimart.plugin.gallery import PAGE_SIZE
from airflow_provider_apimart.sandbox import Sandbox
from tests.page import content
from tests.page.host import airflow_with_pages, client, simple_user
from tests.parsed_page import ParsedPage

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7919*7927}}&amp;"


def opened(browser: TestClient, path: str) -> ParsedPage:
    reply = browser.get(path, headers={"Accept": "text/html"})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/html")
    return ParsedPage(reply.text)


def first_item(browser: TestClient, query: str) -> str:
    found = next(each for each in opened(browser, f"/gallery?{query}").values("a", "href") if "/items/" in each)
    return found.removeprefix("/apimart")


def test_a_batch_is_shown_with_its_counts_cost_and_reasons(
    apimart: Sandbox, viewer: TestClient, tmp_path: Path
) -> None:
    requests = [
        {"id": "fox", "prompt": "A red fox"},
        {"id": "heron", "prompt": "A heron"},
        {"id": "broken", "prompt": "[sandbox: fail out of paint]"},
        {"id": "worse", "prompt": "Bad [sandbox: fail out of paint]"},
    ]
    content.batch("animals", tmp_path / "files", requests)

    batches = opened(viewer, "/")
    assert "2 of 4 done" in batches.text
    assert "2 failed" in batches.text
    assert f"${apimart.dollars:.2f}" in batches.text

    gallery = opened(viewer, "/gallery?dag_id=animals&run_id=run&task_id=generate")
    assert len(gallery.values("img", "src")) == 2
    assert "A red fox" in gallery.text
    assert re.search(r"2\s*Out of paint\. The generation failed at APIMart \(refunded\)\s*such as", gallery.text)
    for path in gallery.values("img", "src"):
        picture = viewer.get(path.removeprefix("/apimart"))
        assert picture.status_code == 200
        assert picture.headers["content-type"] in ("image/webp", "image/png")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("q=HERON", {"heron"}),
        ("q=fox-1", {"fox-1"}),
        ("status=failed", {"broken"}),
        ("status=completed", {"fox-1", "heron"}),
        ("model=gemini-3-pro-image-preview&q=red", {"fox-1"}),
        ("model=other", set()),
        ("dag_id=animals", {"fox-1", "heron", "broken"}),
        ("dag_id=plants", set()),
        ("task_id=generate&run_id=run", {"fox-1", "heron", "broken"}),
        ("map_index=3", set()),
        ("status=nonsense&page=abc&sort=nonsense&days=-1", set()),
        ("page=99", {"fox-1", "heron", "broken"}),
    ],
)
def test_a_gallery_is_searched_and_filtered(
    apimart: Sandbox, viewer: TestClient, tmp_path: Path, query: str, shown: set[str]
) -> None:
    requests = [
        {"id": "fox-1", "prompt": "A red fox"},
        {"id": "heron", "prompt": "A Heron"},
        {"id": "broken", "prompt": "Nothing [sandbox: fail no]"},
    ]
    content.batch("animals", tmp_path / "files", requests)
    reply = viewer.get(f"/gallery?{query}").text
    assert {each for each in ("fox-1", "heron", "broken") if f'<span class="id">{each}</span>' in reply} == shown


def test_a_generation_is_opened_with_everything_that_is_known_of_it(
    apimart: Sandbox, viewer: TestClient, tmp_path: Path
) -> None:
    content.generation("posters", prompt="A fox", size="16:9", n=2, key="poster-1", destination=tmp_path.as_uri())
    page = opened(viewer, first_item(viewer, "dag_id=posters"))
    (made,) = apimart.generations
    files = sorted(tmp_path.glob("*.png"))
    for told in (
        "A fox",
        "poster-1",
        made.generation_id,
        "16:9",
        "gemini-3-pro-image-preview",
        files[0].name,
        files[1].name,
    ):
        assert told in page.text, told
    assert len(set(re.findall(r"[0-9a-f]{64}", page.text))) == 2
    assert len(page.values("img", "src")) == 2
    assert "/dags/posters/runs/run/tasks/draw" in page.values("a", "href")


def test_a_video_and_music_are_played(apimart: Sandbox, viewer: TestClient, tmp_path: Path) -> None:
    content.generation("film", "video", prompt="A boat", duration=4, destination=tmp_path.as_uri())
    content.generation("film", "music", prompt="A song", where={"task_id": "score"}, destination=tmp_path.as_uri())
    gallery = opened(viewer, "/gallery?dag_id=film")
    ((video,), (audio,)) = gallery.values("video", "src"), gallery.values("audio", "src")
    path = video.partition("#")[0].removeprefix("/apimart")
    part = viewer.get(path, headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    assert part.headers["content-type"] == "video/mp4"
    assert viewer.get(audio.removeprefix("/apimart")).headers["content-type"].startswith("audio/")


def test_a_failure_is_shown_with_its_reason(apimart: Sandbox, viewer: TestClient) -> None:
    with pytest.raises(ApimartGenerationFailedError):
        content.generation("posters", prompt="[sandbox: fail out of paint]")
    page = opened(viewer, first_item(viewer, "dag_id=posters"))
    assert "Out of paint" in page.text
    assert apimart.generations[0].generation_id in page.text
    assert "incomplete" in opened(viewer, "/").text


def test_results_that_are_not_saved_are_reported_and_never_embedded(apimart: Sandbox, viewer: TestClient) -> None:
    content.generation("posters")
    gallery = opened(viewer, "/gallery?dag_id=posters")
    assert gallery.values("img", "src") == []
    assert "Not saved" in gallery.text
    page = opened(viewer, first_item(viewer, "dag_id=posters"))
    assert page.values("img", "src") == []
    assert apimart.generations[0].urls[0] in page.values("a", "href")


def test_mapped_generations_are_one_row(apimart: Sandbox, viewer: TestClient, tmp_path: Path) -> None:
    for number in range(3):
        where = {"task_id": "draw", "map_index": number}
        content.generation("mapped", prompt=f"Number {number}", where=where, destination=tmp_path.as_uri())
    assert "3 of 3 done" in opened(viewer, "/").text
    one = opened(viewer, "/gallery?dag_id=mapped&task_id=draw&run_id=run&map_index=1")
    assert "Number 1" in one.text
    assert "Number 2" not in one.text


def test_a_deleted_file_and_a_deleted_ledger_are_reported(apimart: Sandbox, viewer: TestClient, tmp_path: Path) -> None:
    content.batch("animals", tmp_path / "files", [{"id": "fox", "prompt": "A fox"}])
    page = opened(viewer, first_item(viewer, "dag_id=animals"))
    (source,) = page.values("img", "src")
    for file in (tmp_path / "files").glob("*.png"):
        file.unlink()
    reply = viewer.get(source.removeprefix("/apimart"))
    assert (reply.status_code, reply.json()["detail"]) == (404, "The file is no longer there.")
    for file in (tmp_path / "files").glob("*.ledger.jsonl"):
        file.unlink()
    assert "The ledger of animals, generate, run is no longer there" in opened(viewer, "/gallery?dag_id=animals").text
    assert "1 of 1 done" in opened(viewer, "/").text


def test_a_damaged_ledger_shows_what_can_be_read(apimart: Sandbox, viewer: TestClient, tmp_path: Path) -> None:
    content.batch("animals", tmp_path / "files", ["A fox", "A heron"])
    (ledger,) = (tmp_path / "files").glob("*.ledger.jsonl")
    lines = ledger.read_bytes().splitlines(keepends=True)
    odd = b'{"id": "odd", "status": "dreaming", "cost": "much", "files": 7, "prompt": ["x"], "completed": "never"}\n'
    ledger.write_bytes(lines[0] + b"\xff\xfe{{{\n[]\n" + odd + lines[1][:40])
    page = opened(viewer, "/gallery?dag_id=animals")
    assert "3 lines of the ledger can't be read" in page.text
    assert "dreaming" in page.text
    assert "2 items" in page.text


def test_a_running_batch_moves(apimart: Sandbox, viewer: TestClient, place: Path) -> None:
    entry = IndexEntry("b", Kind.BATCH, "animals", "generate", "run", state=State.RUNNING, in_flight=2)
    IndexFile().write(entry_with(entry, completed=1, running=2, not_submitted=7))
    page = viewer.get("/").text
    assert 'data-work="b" data-is-live' in page
    live = viewer.get("/live?work=b&work=unknown").json()
    assert list(live) == ["b"]
    assert live["b"]["live"] is True
    assert "1</b> of 10 done" in live["b"]["html"]


def entry_with(entry: IndexEntry, **counts: int) -> IndexEntry:
    from dataclasses import replace

    return replace(entry, counts={"items": sum(counts.values()), **counts})


def test_costs_are_summed_by_day_dag_task_and_model(apimart: Sandbox, viewer: TestClient, tmp_path: Path) -> None:
    content.batch("animals", tmp_path / "files", ["A fox", "A heron"])
    content.generation("film", "video", prompt="A boat", duration=4)
    assert f"${apimart.dollars:.2f}" in opened(viewer, "/cost").text
    rows = list(csv.DictReader(io.StringIO(viewer.get("/cost.csv").text)))
    assert {(row["dag_id"], row["task_id"], row["generations"]) for row in rows} == {
        ("animals", "generate", "2"),
        ("film", "draw", "1"),
    }
    assert sum(float(row["cost"]) for row in rows) == pytest.approx(float(apimart.dollars))
    (only,) = csv.DictReader(io.StringIO(viewer.get("/cost.csv?dag_id=film").text))
    assert only["model"] == "veo3.1-fast"


@pytest.mark.parametrize("copy_reused", [True, False])
def test_a_reused_picture_is_shown_with_what_it_saved(
    apimart: Sandbox, viewer: TestClient, tmp_path: Path, copy_reused: bool
) -> None:
    library = (tmp_path / "library").as_uri()
    content.batch("first", tmp_path / "first", ["A fox"], library=library)
    content.batch("again", tmp_path / "again", ["A fox"], library=library, reuse_within=60, copy_reused=copy_reused)
    gallery = opened(viewer, "/gallery?dag_id=again&task_id=generate&run_id=run")
    saved = f"saved ${apimart.dollars:.2f}"
    assert gallery.text.count(saved) == 2
    assert "1 reused" in gallery.text
    (source,) = gallery.values("img", "src")
    assert viewer.get(source.removeprefix("/apimart")).status_code == 200
    assert saved in opened(viewer, first_item(viewer, "dag_id=again")).text
    assert apimart.billed == 1


def test_a_cell_of_the_csv_is_no_formula(place: Path, viewer: TestClient) -> None:
    spending = (DaySpending(f"{datetime.now(UTC):%Y-%m-%d}", "=cmd|' /C calc'!A0", 1, Decimal(1)),)
    IndexFile().write(IndexEntry("b", Kind.BATCH, "animals", "generate", "run", spending=spending))
    (row,) = csv.DictReader(io.StringIO(viewer.get("/cost.csv").text))
    assert row["model"].startswith("'=")


def test_nothing_that_anyone_wrote_becomes_html(place: Path, viewer: TestClient, tmp_path: Path) -> None:
    """Every field of an entry and of a ledger's line, each with markup in it."""
    ledger = tmp_path / content.ledger_name(EVIL, EVIL, EVIL)
    file = {"uri": f"file://{tmp_path}/{EVIL}.png", "media_type": "image/png", "sha256": EVIL, "bytes": 3}
    names = ("id", "status", "generation_id", "modality", "model", "prompt", "reason", "submitted", "completed")
    line = dict.fromkeys(names, EVIL) | {
        "files": [file],
        "request": {EVIL: EVIL},
        "result": {EVIL: EVIL},
        "earlier": [{"generation_id": EVIL, "status": EVIL, "cost": EVIL}],
        "submission": {"uploads": {EVIL: EVIL}},
    }
    unsaved = line | {"id": f"{EVIL}2", "files": [], "outputs": [{"url": f"javascript:{EVIL}", "kind": EVIL}]}
    ledger.write_text("".join(json.dumps(each) + "\n" for each in (line, unsaved)))
    entry = {"dag_id": EVIL, "task_id": EVIL, "run_id": EVIL, "reason": EVIL, "kind": "batch", "state": EVIL}
    more = {"ledger": ledger.as_uri(), "destination": tmp_path.as_uri(), "counts": {EVIL: 1, "failed": 1}}
    spending = [{"day": "2999-01-01", "model": EVIL, "cost": 1, "generations": 1}]
    (place / "index" / "2026-11").mkdir(parents=True)
    (place / "index" / "2026-11" / "evil.json").write_text(json.dumps(entry | more | {"spending": spending}))

    paths = ["/", f"/?q={quote(EVIL)}", "/gallery", f"/gallery?q={quote(EVIL)}&status={quote(EVIL)}", "/cost"]
    gallery = opened(viewer, "/gallery")
    paths += sorted({each.removeprefix("/apimart") for each in gallery.values("a", "href") if "/items/" in each})
    assert len(paths) == 7
    for path in paths:
        page = opened(viewer, path)
        tags = [tag for tag, _ in page.elements]
        assert tags.count("script") == 1, path
        assert all(source.startswith("/apimart/") for source in page.values("img", "src"))
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        assert not [each for each in page.values("a", "href") if each.lower().startswith(("javascript:", "data:"))]
        assert "alert(1)" in page.text, path
        assert "62773913" not in page.text
    assert "<script>alert" not in json.loads(viewer.get("/live?work=evil").text)["evil"]["html"]


@pytest.mark.parametrize("path", ["/", "/gallery", "/cost", "/cost.csv", "/live", "/static/page.css", "/nowhere"])
def test_every_reply_has_the_headers_that_keep_foreign_code_out(viewer: TestClient, path: str) -> None:
    reply = viewer.get(path)
    assert reply.headers["x-content-type-options"] == "nosniff"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/gallery", "/cost", "/live"])
def test_nothing_can_be_changed(viewer: TestClient, method: str, path: str) -> None:
    assert viewer.request(method, path).status_code == 405


@pytest.mark.parametrize("path", ["/", "/gallery", "/cost", "/cost?days=7"])
def test_an_empty_index_says_what_to_do(viewer: TestClient, path: str) -> None:
    page = opened(viewer, path)
    assert "Nothing to show yet" in page.text
    assert "[apimart] ledger_path" in page.text


def test_links_carry_the_path_of_the_interface(place: Path) -> None:
    host: FastAPI = airflow_with_pages("/base")
    browser = client(host, simple_user("viewer", "VIEWER"))
    page = ParsedPage(browser.get("/").text)
    assert page.values("link", "href") == ["/base/apimart/static/icon.svg", "/base/apimart/static/page.css"]
    assert {"/base/apimart/gallery", "/base/apimart/cost", "/base/"} <= set(page.values("a", "href"))


def test_what_is_not_there_is_reported_on_a_page(viewer: TestClient) -> None:
    reply = viewer.get("/items/none/none", headers={"Accept": "text/html"})
    assert reply.status_code == 404
    assert "you may not see it" in reply.text


def test_pages_follow_each_other(place: Path, viewer: TestClient, tmp_path: Path) -> None:
    content.large_batch("many", tmp_path / "files", PAGE_SIZE * 2 + 1)
    shown: list[str] = []
    path = "/gallery?sort=request"
    while path:
        page = opened(viewer, path)
        shown += [each for each in page.values("a", "href") if "/items/" in each and each not in shown]
        following = [attributes["href"] for tag, attributes in page.elements if attributes.get("rel") == "next"]
        path = f"/gallery{following[0]}" if following else ""
    assert len({each.partition("?")[0] for each in shown}) == PAGE_SIZE * 2 + 1
