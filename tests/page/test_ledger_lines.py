"""Lines of ledgers as the pages read them: quickly, and whatever wrote them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api.json_values import mapping, parse
from airflow_provider_apimart.plugin.items import Item, item_of
from airflow_provider_apimart.plugin.ledgers import read_line
from tests.page.test_hostile import LINES, VALUES

pytestmark = pytest.mark.slow

PLACE = (7, 70)
DEEP = 100_000
_SHOWN = (
    *("id", "position", "status", "generation_id", "modality", "model", "prompt", "short_reason", "reused", "place"),
    *("cost", "quoted", "saved_cost", "submitted", "completed", "time", "files", "unsaved"),
)


def shown(item: Item | None) -> dict[str, Any] | None:
    """Return all that a page shows of an item."""
    return item and {name: getattr(item, name) for name in _SHOWN}


def read_with_care(line: bytes) -> Item | None:
    """Read a line with the parser that reads anything."""
    return item_of(mapping(parse(line)), PLACE)


@given(LINES, VALUES, st.booleans())
def test_a_line_is_read_quickly_as_it_is_with_care(line: dict[str, Any], item_id: object, is_ascii: bool) -> None:
    written = json.dumps(line | {"id": item_id}, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert shown(read_line(written, PLACE)) == shown(read_with_care(written))


@given(st.dictionaries(st.sampled_from(["id", "outputs", "files", "earlier", "quote", "other"]), VALUES) | VALUES)
def test_so_is_any_other_json(value: object) -> None:
    written = json.dumps(value).encode()
    assert shown(read_line(written, PLACE)) == shown(read_with_care(written))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"id": "a"}',
        b'{"id": "a", "x": "\xff"}',
        b'{"id": "a", "id": "b"}',
        b'{"id": "a"} {"id": "b"}',
        b'{"id": "a", "cost": 1e999}',
        b'{"id": "a", "prompt": "one\ntwo"}',
        b'{"id": "a", "outputs": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"id": "a", "x": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    ],
    ids=lambda line: str(line[:24]),
)
def test_a_damaged_line_is_read_as_it_is_with_care(line: bytes) -> None:
    assert shown(read_line(line, PLACE)) == shown(read_with_care(line))
