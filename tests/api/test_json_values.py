from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airflow_provider_apimart.api.json_values import items, mapping, moment, money, number, parse, plain, text


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 50_000, b"1" * 5_000, b"nul", b"\x00"]
)
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert parse(body) is None


@pytest.mark.parametrize(
    "body", [b"1e99999999999999999999", b'{"a":[1E-99999999999999999999]}', b"-0.1e+9999999999999999999"]
)
def test_a_number_with_an_absurd_exponent_raises_nothing(body: bytes) -> None:
    parse(body)


def test_fractions_are_decimals_and_what_is_not_finite_is_none() -> None:
    assert parse(b'{"a":0.1,"b":NaN,"c":[Infinity,-Infinity],"d":1}') == {
        "a": Decimal("0.1"),
        "b": None,
        "c": [None, None],
        "d": 1,
    }


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("a", "a"),
        (" a ", "a"),
        ("", None),
        (" ", None),
        (5, "5"),
        (True, None),
        (1.5, None),
        ([], None),
        (None, None),
        ("a\ud800", "a?"),
    ],
)
def test_text(value: object, read: str | None) -> None:
    assert text(value) == read


def test_a_gigantic_number_is_no_text() -> None:
    assert text(10**5000) is None


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, 1.0),
        ("45%", 45.0),
        (Decimal("0.5"), 0.5),
        (True, None),
        ("x", None),
        (10**400, None),
        (Decimal("1e999"), None),
        (float("nan"), None),
        ("inf", None),
        ([], None),
    ],
)
def test_number(value: object, read: float | None) -> None:
    assert number(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Decimal("0.47600000000000003"), Decimal("0.476")),
        (0.1 + 0.2, Decimal("0.3")),
        ("10.5", Decimal("10.5")),
        (-1, Decimal(-1)),
        (Decimal("sNaN"), None),
        ("Infinity", None),
        (Decimal("1e400"), None),
        (False, None),
        ("", None),
    ],
)
def test_money(value: object, read: Decimal | None) -> None:
    assert money(value) == read


@pytest.mark.parametrize("value", ["9000-01-01T00:00:00", 2.3e11 * 1000, float("inf"), -1, "0001-01-01T00:00:00+23:59"])
def test_a_moment_beyond_belief_is_none(value: object) -> None:
    assert moment(value) is None


def test_a_naive_time_is_utc() -> None:
    assert moment("2026-01-01T00:00:00") == datetime(2026, 1, 1, tzinfo=UTC)


def test_items_and_mapping() -> None:
    assert (items(None), items("a"), items(["a"]), items(("a",)), items({})) == ([], ["a"], ["a"], ["a"], [{}])
    assert (mapping({"a": 1}), mapping([1]), mapping(None)) == ({"a": 1}, {}, {})


def test_plain_makes_json_of_everything() -> None:
    tree = {
        "money": Decimal("0.5"), "when": datetime(2026, 1, 1, tzinfo=UTC), "nan": float("nan"), "big": 10**400,
        "half": "\ud800", "tuple": (1, None, True), 5: {1}, "sNaN": Decimal("sNaN"),
    }  # fmt: skip
    assert json.loads(json.dumps(plain(tree), allow_nan=False)) == {
        "money": 0.5, "when": "2026-01-01T00:00:00+00:00", "nan": None, "big": None,
        "half": "?", "tuple": [1, None, True], "5": "{1}", "sNaN": None,
    }  # fmt: skip


def test_plain_of_a_tree_that_is_too_deep_is_none() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert plain(deep) is None
