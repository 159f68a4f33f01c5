from __future__ import annotations

from decimal import Decimal

import pytest

from airflow_provider_apimart.batch.gallery import gallery
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.summary import count_items
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from tests.batch.support import TASK
from tests.parsed_page import ParsedPage

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"
TAGS = {"html", "head", "body", "meta", "title", "style", "main", "div", "h1", "h2", "h3", "p", "ul", "li", "span"} | {
    "a",
    "img",
    "video",
    "audio",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}


def page(*entries: LedgerEntry, folder: str = "file:///pictures", task: TaskIdentity = TASK) -> ParsedPage:
    return ParsedPage(gallery(task, count_items(entries, saves=False), entries, folder))


def entry(**facts: object) -> LedgerEntry:
    return LedgerEntry(**{"id": "fox", "position": 0, "status": ItemStatus.COMPLETED, **facts})  # type: ignore[arg-type]  # facts of any field


def test_nothing_that_anyone_wrote_becomes_html() -> None:
    shown = page(
        entry(
            id=EVIL,
            prompt=EVIL,
            model=EVIL,
            reason=EVIL,
            generation_id=EVIL,
            status=ItemStatus.FAILED,
            outputs=({"url": f"https://files.example/{EVIL}", "kind": EVIL},),
        ),
        entry(files=({"uri": f"file:///pictures/{EVIL}.png", "media_type": EVIL},)),
        task=TaskIdentity(EVIL, EVIL, EVIL, 0, 0),
    )
    assert {tag for tag, _ in shown.elements} <= TAGS - {"script"}
    assert not [name for _, attributes in shown.elements for name in attributes if name.startswith("on")]
    assert shown.text.count(EVIL) >= 5
    assert next(filter(None, shown.all("li", "id"))) == EVIL
    assert shown.all("img", "src")[0] == f"https://files.example/{EVIL}"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "data:text/html,x"]
)
def test_no_url_is_run(url: str) -> None:
    assert page(entry(outputs=({"url": url, "kind": "image"},))).all("a", "href") == []


@pytest.mark.parametrize(
    ("folder", "uri", "link"),
    [
        ("file:///pictures", "file:///pictures/a.png", "a.png"),
        ("/pictures", "file:///pictures/a.png", "a.png"),
        ("file:///pictures/", "/pictures/day 1/a#1?.png", "day%201/a%231%3F.png"),
        ("s3://conn@bucket/x", "s3://conn@bucket/x/a:b.png", "a%3Ab.png"),
        ("file:///pictures", "s3://bucket/a.png", "s3://bucket/a.png"),
        ("file:///pictures", "file:///other/a.png", "file:///other/a.png"),
        ("file:///pictures", "file:///pictures2/a.png", "file:///pictures2/a.png"),
    ],
)
def test_files_below_the_page_are_linked_relatively(folder: str, uri: str, link: str) -> None:
    shown = page(entry(files=({"uri": uri, "media_type": "image/png"},)), folder=folder)
    assert shown.all("img", "src") == shown.all("a", "href") == [link]


def test_saved_files_go_before_temporary_urls() -> None:
    shown = page(
        entry(
            outputs=({"url": "https://files.example/1.png", "kind": "image"},),
            files=({"uri": "file:///pictures/1.png", "media_type": "image/png"},),
        )
    )
    assert shown.all("img", "src") == ["1.png"]


def test_each_kind_is_shown_as_what_it_is() -> None:
    kinds = ("image", "video", "audio")
    outputs = tuple({"url": f"https://files.example/{kind}", "kind": kind} for kind in kinds)
    shown = page(entry(outputs=outputs))
    assert shown.all("img", "src") == ["https://files.example/image"]
    assert shown.all("video", "src") == ["https://files.example/video#t=0.1"]
    assert shown.all("audio", "src") == ["https://files.example/audio"]


def test_prompt_cost_and_failures_are_shown() -> None:
    shown = page(
        entry(prompt="a fox", model="m", cost=Decimal("0.00476"), generation_id="task_1", result={"text": "a fox"}),
        entry(id="heron", prompt="a heron", status=ItemStatus.MODERATED, reason="sensitive content"),
        entry(id="later", prompt="a badger", status=ItemStatus.NOT_SUBMITTED),
    )
    for told in (
        "a fox",
        "fox",
        "$0.00476",
        "task_1",
        "a heron",
        "sensitive content",
        "not submitted",
        "1 of 3 items completed, 1 refused by moderation, 1 not submitted, for $0.00",
    ):
        assert told in shown.text


def test_the_page_needs_nothing_but_the_pictures() -> None:
    shown = page(entry(outputs=({"url": "https://files.example/1.png", "kind": "image"},)))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in shown.elements}
    assert "http" not in "".join(
        str(value) for tag, each in shown.elements if tag != "img" for value in each.values() if tag != "a"
    )
