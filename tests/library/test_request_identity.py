"""Identity of requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.payload import build_payload
from airflow_provider_apimart.api.reference_fields import names_references
from airflow_provider_apimart.library.request_identity import reference_urls, request_identity

pytestmark = pytest.mark.slow

SHA = "ab" * 32
URL = "https://cdn.example/uploads/1.png"

names = st.sampled_from(["prompt", "size", "n", "seed", "x", "metadata", "image_urls", "mask_url"])
scalars = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("ab é/", max_size=4) | st.just(URL)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
payloads = st.dictionaries(names, values, max_size=5)


def identity(payload: Any, contents: dict[str, str] | None = None, modality: Modality = Modality.IMAGE) -> str:
    return request_identity(modality, payload, contents or {})


def shuffled(value: Any) -> Any:
    """Return a value with the keys of its objects in another order, and whole numbers as floats."""
    match value:
        case dict():
            return {name: shuffled(value[name]) for name in reversed(value)}
        case list():
            return [shuffled(each) for each in value]
        case int() if not isinstance(value, bool):
            return float(value)
    return value


@given(payloads)
def test_the_order_of_keys_and_the_spelling_of_numbers_count_for_nothing(payload: dict[str, Any]) -> None:
    assert identity(shuffled(payload)) == identity(payload)


@given(payloads)
def test_a_journey_through_json_changes_nothing(payload: dict[str, Any]) -> None:
    assert identity(json.loads(json.dumps(payload))) == identity(payload)


def canonical(value: Any) -> Any:
    """Return a value that equals another one's only if both mean the same request; ``True`` is no 1."""
    match value:
        case dict():
            return {name: canonical(each) for name, each in value.items()}
        case list():
            return [canonical(each) for each in value]
    return (isinstance(value, bool), value)


@given(payloads, payloads)
def test_other_requests_have_other_identities(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (identity(one) == identity(other)) == (canonical(one) == canonical(other))


@given(payloads)
def test_a_known_url_is_its_file(payload: dict[str, Any]) -> None:
    """Where a URL is a reference, the content counts; elsewhere, it is text like any other."""

    def replaced(value: Any, field: str) -> Any:
        match value:
            case dict():
                return {name: replaced(each, name) for name, each in value.items()}
            case list():
                return [replaced(each, field) for each in value]
        return f"sha256:{SHA}" if value == URL and names_references(field) else value

    by_file = {name: replaced(value, name) for name, value in payload.items()}
    assert identity(payload, {URL: SHA}) == identity(by_file)
    assert (URL in reference_urls(payload)) == (by_file != payload)


def test_uploads_of_one_file_are_one_reference() -> None:
    payloads = [{"model": "m", "image_urls": [f"https://cdn.example/{number}.png"]} for number in range(3)]
    contents = {"https://cdn.example/0.png": SHA, "https://cdn.example/1.png": SHA}
    first, second, unknown = (identity(payload, contents) for payload in payloads)
    assert first == second == identity({"model": "m", "image_urls": [f"sha256:{SHA}"]})
    assert unknown not in (first, identity(payloads[0]))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"n": 2}, {"n": 2.0}, True),
        ({"n": 2}, {"n": "2"}, False),
        ({"n": 1}, {"n": True}, False),
        ({"seed": None}, {}, False),
        ({"prompt": "a cat"}, {"prompt": "a cat "}, False),
        ({"prompt": "é"}, {"prompt": "e\u0301"}, False),
        ({"image_urls": ["https://x/1", "https://x/2"]}, {"image_urls": ["https://x/2", "https://x/1"]}, False),
    ],
)
def test_what_is_sent_counts_as_it_is_sent(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert (identity(one) == identity(other)) is same


def test_modality_is_part_of_a_request() -> None:
    assert identity({"prompt": "rain"}) != identity({"prompt": "rain"}, modality=Modality.MUSIC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"n": 2.0, "seed": None}, {"n": "2"}),
        ({"image_urls": "https://x/1.png"}, {"image_urls": ["https://x/1.png"]}),
        ({"prompt": "a cat", "duration": "8"}, {"duration": 8, "prompt": "a cat"}),
    ],
)
def test_arguments_that_send_the_same_body_are_identical(one: dict[str, Any], other: dict[str, Any]) -> None:
    sent = [build_payload({"model": "m", "prompt": "x", **each}, None) for each in (one, other)]
    assert identity(sent[0]) == identity(sent[1])


def test_identities_stay_the_same_from_version_to_version() -> None:
    """Another digest for the same request would make every library worthless."""
    payload = {"model": "m", "prompt": "a cat", "n": 2, "image_urls": [URL]}
    assert identity(payload, {URL: SHA}) == "ea20a99963d3b10eb6581453ba9b7b789fdd2b9cb9d04269a2db1c741ff848c9"
