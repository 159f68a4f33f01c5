"""Replies of the price route that the sandbox never gives, from a server of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.requests_transport import RequestsTransport
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.quotes.price_book import PriceBook
from airflow_provider_apimart.quotes.price_list import PriceListError, read_price_list
from airflow_provider_apimart.quotes.quote import Quote, total
from airflow_provider_apimart.quotes.quote_calculation import quote_request

pytestmark = pytest.mark.slow

PICTURE = "https://example.com/a.png"
SECONDS = {"billing_type": "per_second", "paid_price": 0.1}
VIDEO = {"duration": 5}


class PriceRoute(ThreadingHTTPServer):
    """Answers every request with one body."""

    body = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, PriceRoute)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def route() -> Iterator[PriceRoute]:
    with PriceRoute() as running:
        yield running
        running.shutdown()


def quoted(route: PriceRoute, data: dict[str, Any] | str, request: dict[str, Any], modality: str = "image") -> Quote:
    written = data if isinstance(data, str) else json.dumps(data)
    route.body = f'{{"success": true, "data": {written}}}'.encode()
    transport = RequestsTransport(ClientSettings("sk-x", f"http://127.0.0.1:{route.server_port}"))
    body = {"model": "suno" if modality == "music" else "some-model", "prompt": "x", **request}
    return transport.run(PriceBook(RetryPolicy(max_requests=1)).quote(Modality(modality), body))


@pytest.mark.parametrize(
    ("data", "request_"),
    [
        ({"paid_price": 0.1}, VIDEO),
        ({**SECONDS, "billing_type": None}, VIDEO),
        ({**SECONDS, "pricing": {"unit": "usd_per_minute"}}, VIDEO),
        ({**SECONDS, "billing_type": "tiered_token"}, VIDEO),
        (SECONDS, {**VIDEO, "sound": {"enabled": True}}),
        (SECONDS, {**VIDEO, "video_id": "task_1"}),
        (SECONDS, {**VIDEO, "reference_video": "task_1"}),
        (SECONDS, {**VIDEO, "video_urls": ["a.mp4"]}),
        (SECONDS, {**VIDEO, "video_urls": [PurePosixPath("a.mp4")]}),
        (SECONDS, {"duration": 10**5000}),
        (SECONDS, {"duration": float("nan")}),
        (SECONDS, {**VIDEO, "n": -(10**5000)}),
        (SECONDS, {**VIDEO, "mode": ["pro"]}),
        *(
            ({**SECONDS, "billing_type": f"per_{unit}"}, VIDEO)
            for unit in ("minute", "millisecond", "frame", "hour", "MB")
        ),
        ({**SECONDS, "currency": "CNY"}, VIDEO),
        (SECONDS, {**VIDEO, "num_videos": 2}),
        (SECONDS, {**VIDEO, "duration": "5s"}),
    ],
)
def test_a_video_whose_price_isnt_certain_has_no_quote(
    route: PriceRoute, data: dict[str, Any], request_: dict[str, Any]
) -> None:
    quote = quoted(route, data, request_, "video")
    assert quote.cost is None, quote


TIERS = {"paid_price": 0.1, "resolution_paid_prices": {"1K": 0.1, "2K": 0.2}}


@pytest.mark.parametrize(
    ("data", "request_"),
    [
        ({"billing_type": "tiered_token", "model_price": 0.1}, {}),
        ({**TIERS, "default_resolution": "4K"}, {}),
        ({**TIERS, "default_resolution": "4K"}, {"resolution": "4K"}),
        ({**TIERS, "resolution_enabled": False}, {"resolution": "4K"}),
        ({**TIERS, "resolution_paid_prices": {"16:9@2k": 0.2}, "default_resolution": "2K"}, {}),
        ({**TIERS, "default_resolution": "1K"}, {"resolution": ["2K"]}),
        ({"paid_price": 0.1}, {"quality": ["high"]}),
        ({"paid_price": 0.1, "pricing": ["usd_per_million_tokens"]}, {}),
        ({**TIERS, "input_image_paid_prices": {"1K": 0.01}}, {"image_urls": [PICTURE], "resolution": "2K"}),
        ({**TIERS, "input_image_first_free": "true", "input_image_paid_price": 0.01}, {"image_urls": [PICTURE]}),
        (
            {"layer_decomposition_paid_prices": {"1K": 0.02}, "layer_decomposition_max_images": True},
            {"layer_decomposition": True},
        ),
        ({"paid_price": 0.1, "resolution_paid_prices": {"4K": 0.64, "4k": 0.2}}, {"resolution": "4K"}),
        *(({"paid_price": price}, {}) for price in (-0.1, 0, "0.1", "0,1", "1e-1", None, True, [0.1], {"usd": 0.1})),
        *((f'{{"paid_price": {price}}}', {}) for price in ("NaN", "Infinity", "-0.0")),
        ({"paid_price": 0.1, "currency": "¥"}, {}),
        ({"model_price": 0.1, "discount_rate": 80}, {}),
        ({"model_price": 0.1, "discount_rate": 8}, {}),
        ({"model_price": 0.1, "discount_rate": -0.8}, {}),
        ({"resolution_prices": {"1K": 0.1}, "discount_rate": 80}, {"resolution": "1K"}),
        ({**TIERS, "resolution_paid_prices": {"1K": 0.1, "2K": "0.2"}}, {"resolution": "1K"}),
        ({**TIERS, "resolution_paid_prices": {"1K": 0.1, "2K": -1}}, {"resolution": "1K"}),
        ({**TIERS, "resolution_paid_prices": [0.1, 0.2]}, {"resolution": "1K"}),
        ({"paid_price": 0.1}, {"num_images": 4}),
        ({"paid_price": 0.1}, {"batch_size": 4}),
        ({"paid_price": 0.1}, {"count": "4"}),
        ({"paid_price": 0.1}, {"n": 2.5}),
        ({"paid_price": 0.1}, {"n": 0}),
        ('{"paid_price": 1e500000}', {}),
        ('{"paid_price": 1e99999999}', {"n": 2}),
        ('{"model_price": 1e999999, "discount_rate": 100}', {}),
        ('{"model_price": 1e-999999, "discount_rate": 1e-999999}', {}),
    ],
)
def test_an_image_whose_price_isnt_certain_has_no_quote(
    route: PriceRoute, data: dict[str, Any] | str, request_: dict[str, Any]
) -> None:
    quote = quoted(route, data, request_)
    assert quote.cost is None, quote


def test_an_action_of_another_version_has_no_quote(route: PriceRoute) -> None:
    prices = {"action_paid_prices": {"suno@music-v6": 0.08}}
    assert quoted(route, prices, {"version": "v99"}, "music").cost is None
    assert quoted(route, prices, {"version": "v6"}, "music").cost == Decimal("0.08")


@pytest.mark.parametrize(
    ("data", "request_", "cost"),
    [
        ({**SECONDS, "billing_type": "PER_SECOND"}, VIDEO, "0.5"),
        ({**SECONDS, "billing_tier_paid_prices": {"std": 0.2, "pro": 0.3}}, {**VIDEO, "mode": "std"}, "1"),
        ({**SECONDS, "billing_tier_paid_prices": {"STD": 0.2, "pro": 0.3}}, VIDEO, "1"),
        (
            {**SECONDS, "billing_tier_paid_prices": {"std-sound": 0.2}},
            {**VIDEO, "mode": "std", "sound": True},
            "1",
        ),
        (
            {**SECONDS, "resolution_enabled": False, "resolution_prices": {"4K": 0.4}},
            {**VIDEO, "resolution": "4K"},
            "2",
        ),
    ],
)
def test_spellings_of_a_price_list_are_read(
    route: PriceRoute, data: dict[str, Any], request_: dict[str, Any], cost: str
) -> None:
    quote = quoted(route, data, request_, "video")
    assert (quote.cost, quote.is_exact) == (Decimal(cost), True), quote


@pytest.mark.parametrize(
    ("data", "request_", "cost"),
    [
        ({"paid_price": 0.1, "currency": "USD"}, {}, "0.1"),
        ('{"paid_price": 1E-1}', {}, "0.1"),
        ({"paid_price": 0.1, "model_price": 0.2, "discount_rate": 80}, {}, "0.1"),
        ({"paid_price": 0.1}, {"num_images": 1}, "0.1"),
        ({"model_price": 0.2, "discount_rate": 0.5}, {"n": 3}, "0.3"),
    ],
)
def test_prices_that_are_certain_are_quoted(
    route: PriceRoute, data: dict[str, Any] | str, request_: dict[str, Any], cost: str
) -> None:
    quote = quoted(route, data, request_)
    assert (quote.cost, quote.is_exact) == (Decimal(cost), True), quote


def test_a_part_of_a_second_is_quoted_as_a_whole_one(route: PriceRoute) -> None:
    quote = quoted(route, SECONDS, {"duration": 5.5}, "video")
    assert (quote.cost, quote.is_exact) == (Decimal("0.6"), False)


def test_a_file_beside_the_references_may_be_one_more(route: PriceRoute) -> None:
    """The quote is an upper bound then, whether the file was uploaded before or is only named."""
    prices = {"paid_price": 0.1, "input_image_paid_price": 0.01}
    for mask in ("mask.png", "sha256:00", PICTURE, PurePosixPath("mask.png")):
        quote = quoted(route, prices, {"image_urls": [PICTURE], "mask_url": mask})
        assert (quote.cost, quote.is_exact) == (Decimal("0.12"), False)


FIELDS = (
    "billing_type", "model_price", "discount_rate", "paid_price", "resolution_prices", "resolution_paid_prices",
    "size_quality_prices", "size_quality_paid_prices", "billing_tier_paid_prices", "default_resolution",
    "resolution_enabled", "input_image_first_free", "input_image_paid_price", "input_image_paid_prices",
    "layer_decomposition_paid_prices", "layer_decomposition_max_images", "action_paid_prices", "max_mode_multiplier",
    "pricing",
)  # fmt: skip
REQUEST_FIELDS = (
    "n", "duration", "resolution", "size", "quality", "mode", "sound", "speed", "version", "max_mode", "image_urls",
    "layer_decomposition",
)  # fmt: skip
names = st.sampled_from(
    ["1K", "4K", "16:9@2k", "16:9", "auto", "pro", "std", "sound", "token", "imagine", "unit", "", "fast"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    names,
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.sampled_from([Decimal("1e999999"), Decimal("1e-999999"), Decimal("0.05"), 10**4000, "per_second"]),
)
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=6)
# Nearly everything else makes the whole list unusable.
prices_ = st.sampled_from([Decimal("0.05"), Decimal("0.1"), 1])
fields = st.one_of(prices_, st.dictionaries(names, prices_), anything)
request_values = st.one_of(st.integers(), st.floats(), st.sampled_from([10**5000, PICTURE]), anything)


@settings(max_examples=400, deadline=None)
@given(
    data=st.dictionaries(st.sampled_from(FIELDS), fields),
    request_=st.dictionaries(st.sampled_from(REQUEST_FIELDS), request_values),
    modality=st.sampled_from(Modality),
)
def test_any_reply_and_request_give_a_quote_or_a_reason(
    data: dict[str, Any], request_: dict[str, Any], modality: Modality
) -> None:
    try:
        prices = read_price_list({"success": True, "data": data}, "some-model")
    except PriceListError:
        return
    quote = quote_request(prices, modality, {"model": "some-model", "prompt": "x", **request_})
    assert (quote.cost is None) == bool(str(quote).startswith("no quote"))
    assert quote.cost is None or quote.cost > 0
    assert len(str(total([("some-model", quote)]))) < 500
    assert total([("some-model", quote)]).to_json()
