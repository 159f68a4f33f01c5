"""Values that numpy, pandas, templates and files of items produce."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.payload import build_payload
from airflow_provider_apimart.api.plain_values import is_gap
from airflow_provider_apimart.api.rendered_values import is_nothing, rendered_value
from airflow_provider_apimart.batch.items import Shared, read_items
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from tests.api.test_arguments import Scalar

pytestmark = pytest.mark.slow

URL = "https://upload.apimart.ai/f/image/1-photo.jpg"
GIVEN = {"model": "m", "prompt": "a fox"}


class NAType:
    """A stand-in for ``pandas.NA``, whose truth cannot be asked."""

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    def __ne__(self, other: object) -> Any:
        return self

    __hash__ = object.__hash__


class NaTType(datetime):
    """A stand-in for ``pandas.NaT``, which is a datetime."""


class Quality(Enum):
    HIGH = "high"


GAPS: list[Any] = [float("nan"), NAType(), NaTType(1, 1, 1, tzinfo=UTC), Decimal("NaN"), Decimal("sNaN")]


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: type(gap).__name__)
def test_a_gap_is_an_absent_value(gap: object) -> None:
    assert is_gap(gap)
    arguments = {**GIVEN, "seed": gap, "negative_prompt": gap, "size": gap}
    assert build_payload(arguments, {"style": gap, "deep": {"a": gap, "b": None}}) == {**GIVEN, "deep": {"b": None}}
    row = {"id": gap, **arguments, "modality": gap, "parameters": gap, "quality": None}
    shared = Shared("c", Modality.IMAGE, {"size": "1:1", "quality": "low"})
    (item,) = read_items([row], shared)
    assert (item.id, item.request.payload) == ("0", {**GIVEN, "size": "1:1"})


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (2.0, 2),
        ("8.0", 8),
        ("2", 2),
        (Decimal("2.0"), 2),
        (Decimal("2.5"), 2.5),
        (Fraction(4, 2), 2),
        (Scalar(2, "2"), 2),
        (Scalar(2.0, "2.0"), 2),
    ],
)
@pytest.mark.parametrize("field", ["n", "duration", "seed"])
def test_a_whole_number_is_sent_as_one(field: str, written: object, sent: float) -> None:
    found = build_payload({**GIVEN, field: written}, None)[field]
    assert (found, type(found)) == (sent, type(sent))


def test_a_duration_may_be_a_timedelta() -> None:
    assert build_payload({**GIVEN, "duration": timedelta(seconds=8)}, None)["duration"] == 8
    assert build_payload({**GIVEN, "duration": timedelta(seconds=2.5)}, None)["duration"] == 2.5


@pytest.mark.parametrize("field", ["size", "seed", "n", "quality"])
@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_an_empty_cell_of_a_csv_is_an_absent_value(field: str, blank: str) -> None:
    row = {"id": "a", "prompt": "x", field: blank}
    (item,) = read_items([row], Shared("c", Modality.IMAGE, {"model": "m", "size": "1:1"}))
    assert item.request.payload == {"model": "m", "prompt": "x", "size": "1:1"}
    assert build_payload({**GIVEN, field: blank}, None) == GIVEN


@pytest.mark.parametrize("field", ["model", "prompt", "image_urls"])
def test_an_empty_cell_that_would_make_something_else_is_refused(field: str) -> None:
    with pytest.raises(ApimartInvalidRequestError, match=r"empty|no model"):
        read_items([{"prompt": "x", field: ""}], Shared("c", Modality.IMAGE, {"model": "m", "prompt": "default"}))


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("text", ["nan", "None", "<NA>", "NaT", " null\n"])
def test_the_text_of_a_gap_is_no_prompt(field: str, text: str) -> None:
    """As ``astype(str)`` and f-strings write them."""
    with pytest.raises(ApimartInvalidRequestError, match=f"Item 'a': {field} is .*, the text of a missing value"):
        read_items([{"id": "a", **GIVEN, field: text}], Shared("c", Modality.IMAGE, {}))


@pytest.mark.parametrize(("written", "sent"), [("True", True), ("false", False), (True, True), ("maybe", "maybe")])
def test_a_switch_of_the_contract_is_sent_as_one(written: object, sent: object) -> None:
    assert build_payload({**GIVEN, "instrumental": written}, None)["instrumental"] is sent


@pytest.mark.parametrize("written", [True, [2], {"a": 1}, Scalar([1], "[1]")])
def test_what_is_no_number_is_refused(written: object) -> None:
    with pytest.raises(
        ApimartInvalidRequestError, match=r"^Invalid request: n must be a number, not .* Nothing was sent$"
    ):
        build_payload({**GIVEN, "n": written}, None)


def test_values_of_tools_are_json() -> None:
    values = {
        "style": Quality.HIGH,
        "fps": 24.0,
        "deep": {"array": Scalar([1, 2.5], "x"), "weight": Decimal("0.1"), "at": datetime(2026, 1, 2, tzinfo=UTC)},
    }
    payload = build_payload(GIVEN, values)
    assert json.loads(json.dumps(payload)) == {
        **GIVEN,
        "style": "high",
        "fps": 24,
        "deep": {"array": [1, 2.5], "weight": 0.1, "at": "2026-01-02T00:00:00+00:00"},
    }
    assert type(payload["fps"]) is int


def test_real_numpy_values_are_json() -> None:
    numpy = pytest.importorskip("numpy")
    values = {
        "a": numpy.array([[1, 2], [3, 4]]),
        "weight": numpy.float32(0.1),
        "weights": numpy.array([0.1, 2.0], "float16"),
        "on": numpy.bool_(True),
        "word": numpy.str_("ink"),
        "at": numpy.datetime64("2026-01-02T03:04:05", "ns"),
        "wait": numpy.timedelta64(1500, "ms"),
    }
    payload = build_payload({**GIVEN, "n": numpy.int64(2), "seed": numpy.float32(7)}, values)
    assert json.loads(json.dumps(payload)) == {
        **GIVEN,
        "n": 2,
        "seed": 7,
        "a": [[1, 2], [3, 4]],
        "weight": 0.1,
        "weights": [0.1, 2],
        "on": True,
        "word": "ink",
        "at": "2026-01-02T03:04:05.000000000",
        "wait": 1.5,
    }


def test_real_rows_of_pandas_with_gaps() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([{"id": 1, "prompt": "x", "seed": 1}, {"id": 2, "prompt": "y"}])
    items = read_items(frame.to_dict("records"), Shared("c", Modality.IMAGE, {"model": "m"}))
    assert [item.request.payload for item in items] == [
        {"model": "m", "prompt": "x", "seed": 1},
        {"model": "m", "prompt": "y"},
    ]


@pytest.mark.parametrize(
    ("native", "sent"),
    [(1984, "1984"), (2.5, "2.5"), ({"scene": "füchse"}, '{"scene": "füchse"}'), (Decimal("1.50"), "1.50")],
)
@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_a_prompt_that_became_a_value_is_text_again(field: str, native: object, sent: str) -> None:
    assert build_payload({**GIVEN, field: native}, None)[field] == sent
    (item,) = read_items([{**GIVEN, field: native}], Shared("c", Modality.IMAGE, {}))
    assert item.request.payload[field] == sent


@pytest.mark.parametrize(("id_", "name"), [(2.0, "2"), (Scalar(2, "2"), "2"), (Decimal("2"), "2"), ("2.0", "2.0")])
def test_an_id_is_text(id_: object, name: str) -> None:
    (item,) = read_items([{"id": id_, **GIVEN}], Shared("c", Modality.IMAGE, {}))
    assert item.id == name


@pytest.mark.parametrize("write", [json.dumps, repr, lambda value: f"  {value}\n"])
def test_rendered_lists_and_objects_are_taken_everywhere(write: Any) -> None:
    wanted = {**GIVEN, "image_urls": [URL], "style": {"a": 1}}
    arguments = {**GIVEN, "image_urls": write([URL])}
    parameters = write({"style": {"a": 1}})
    assert build_payload(arguments, parameters) == wanted
    (item,) = read_items([{**arguments, "parameters": parameters}], Shared("c", Modality.IMAGE, {}))
    assert item.request.payload == wanted
    (item,) = read_items([GIVEN], Shared("c", Modality.IMAGE, {"image_urls": write([URL])}, parameters))
    assert item.request.payload == wanted


def test_a_rendered_list_with_missing_values_and_scalars_is_read() -> None:
    written = "[{'prompt': 'x', 'seed': nan, 'n': np.int64(2), 'w': Decimal('1.5'), 'none': None}]"
    value: Any = rendered_value(written)
    (found,) = value
    assert is_gap(found["seed"])
    assert (found["n"], found["w"], found["none"]) == (2, 1.5, None)


@pytest.mark.parametrize("text", ["[__import__('os')]", "[np.load('x', 1)]", "{open('x')}", "[1", "text", "(1, 2)"])
def test_nothing_else_is_read_from_text(text: str) -> None:
    assert rendered_value(text) is None


@pytest.mark.parametrize("text", ["None", " nan\n", "null", "NaT", "<NA>", "None None", ""])
def test_words_for_nothing(text: str) -> None:
    assert is_nothing(text)


JSON_LIKE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.decimals(),
        st.binary(),
        st.sampled_from(GAPS),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["n", "prompt", "image_urls", "size", "x", "seed"]), JSON_LIKE))
def test_any_request_is_json_or_refused(fields: Mapping[str, Any]) -> None:
    try:
        payload = build_payload({"model": "m", **fields}, None)
    except ApimartInvalidRequestError as error:
        refusal, reason = str(error), error.reason
    else:
        refusal = reason = f"Invalid request: {json.dumps(payload, allow_nan=False)}"
    assert refusal.startswith("Invalid request: ")
    assert reason in refusal


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON_LIKE, max_size=5))
def test_any_row_is_an_item_or_refused(row: Mapping[str, Any]) -> None:
    said = "1 invalid item. Nothing was sent:\n- Item "
    try:
        read_items([{"prompt": "x", **row}], Shared("c", Modality.IMAGE, {"model": "m"}))
    except ApimartInvalidRequestError as error:
        said = str(error)
    assert said.startswith("1 invalid item. Nothing was sent:\n- Item ")
