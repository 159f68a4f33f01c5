"""Quotes beside the bill: every tariff, random requests, over real HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
import requests
from hypothesis import given, settings

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.requests_transport import RequestsTransport
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.quotes.price_book import PriceBook
from airflow_provider_apimart.quotes.quote import Certainty, Quote
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.service.models import MODELS
from tests.sandbox.request_strategies import requests_of

KEY = "sk-sandbox-key"
PICTURE = "https://example.com/a.png"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(seconds=10, jitter=0, balance=Decimal(1_000_000))) as running:
        yield running


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook()


def quoted(sandbox: Sandbox, body: dict[str, Any], book: PriceBook | None = None) -> Quote:
    """Return the quote of a request as a worker gets it."""
    model = MODELS.get(body["model"])
    return transport_of(sandbox.base_url).run(
        (book or PriceBook()).quote(Modality(model.modality if model else "image"), body)
    )


@cache
def transport_of(base_url: str) -> RequestsTransport:
    return RequestsTransport(ClientSettings(KEY, base_url, headers={"X-Team": "secret-team"}))


def billed(sandbox: Sandbox, body: dict[str, Any]) -> Decimal:
    """Return what the sandbox charges for a request."""
    sandbox.reset()
    headers = {"Authorization": f"Bearer {KEY}"}
    reply = requests.post(sandbox.base_url + MODELS[body["model"]].endpoint, json=body, headers=headers, timeout=10)
    assert reply.status_code == 200, (body, reply.text)
    sandbox.complete_all()
    return sandbox.dollars


# ``make sweep`` asks for thousands.
@settings(max_examples=5_000 if os.environ.get("APIMART_SWEEP") else 500, deadline=None)
@given(drawn=requests_of())
def test_an_exact_quote_is_the_bill_and_at_most_never_lies_below_it(
    sandbox: Sandbox, book: PriceBook, drawn: tuple[dict[str, Any], int]
) -> None:
    body, _ = drawn
    quote = quoted(sandbox, body, book)
    bill = billed(sandbox, body)
    if quote.certainty is Certainty.EXACT:
        assert quote.cost == bill, (body, quote)
    if quote.certainty is Certainty.AT_MOST:
        assert quote.cost is not None
        assert quote.cost >= bill, (body, quote)


@pytest.mark.parametrize(
    ("body", "cost", "certainty"),
    [
        ({"model": "gemini-3-pro-image-preview", "n": 3, "resolution": "4k"}, "0.375", "exact"),
        ({"model": "gemini-3.1-flash-image-preview", "resolution": "2K"}, "0.04", "exact"),
        ({"model": "gemini-3.1-flash-image-preview", "resolution": "4K"}, "0.08", "exact"),
        ({"model": "gemini-3.1-flash-image-preview", "resolution": "8K"}, None, "no_quote"),
        ({"model": "gpt-image-2-ext", "size": "16:9", "resolution": "2K"}, "0.15", "exact"),
        ({"model": "gpt-image-2-ext", "size": "16:9", "resolution": "2K", "quality": "high"}, "0.4", "exact"),
        ({"model": "gpt-image-2-ext", "size": "auto", "resolution": "2K", "quality": "low"}, "0.06", "at_most"),
        ({"model": "gpt-image-2-ext", "size": "16:9", "resolution": "2K", "quality": "ultra"}, None, "no_quote"),
        ({"model": "gpt-image-2-ext", "size": "21:9"}, None, "no_quote"),
        ({"model": "qwen-image-edit", "image_urls": [PICTURE]}, "0.015", "exact"),
        ({"model": "qwen-image-edit", "image_urls": [PICTURE] * 3}, "0.0189", "exact"),
        ({"model": "flux-kontext-multi", "image_urls": [PICTURE, PICTURE]}, "0.038", "exact"),
        ({"model": "flux-kontext-multi", "image_urls": [PICTURE], "mask_url": PICTURE}, "0.038", "at_most"),
        ({"model": "seedream-5.0-pro", "layer_decomposition": True}, "0.34", "at_most"),
        ({"model": "seedream-5.0-pro", "layer_decomposition": False}, "0.03", "exact"),
        ({"model": "gemini-3.1-flash-lite-image"}, "0.032", "at_most"),
        ({"model": "grok-image-token"}, None, "no_quote"),
        ({"model": "midjourney", "speed": "turbo"}, "0.1", "exact"),
        ({"model": "midjourney"}, "0.1", "at_most"),
        ({"model": "midjourney", "speed": "warp"}, None, "no_quote"),
        ({"model": "kling-v2-6", "duration": 10, "resolution": "1080p"}, "1.12", "exact"),
        ({"model": "kling-v2-6"}, None, "no_quote"),
        ({"model": "kling-v2-6", "duration": 5, "video_urls": ["https://example.com/a.mp4"]}, None, "no_quote"),
        ({"model": "kling-v3", "duration": 5, "mode": "pro", "sound": True}, "0.84", "exact"),
        ({"model": "kling-v3", "duration": 5, "mode": "std"}, "0.42", "exact"),
        ({"model": "kling-v3", "duration": 5, "mode": "master"}, None, "no_quote"),
        ({"model": "seedance-2.5", "duration": -1}, "6.48", "at_most"),
        ({"model": "suno", "version": "v5", "max_mode": True}, "0.09", "exact"),
        ({"model": "suno"}, "0.08", "at_most"),
        ({"model": "suno", "version": "v99"}, None, "no_quote"),
        ({"model": "flowmusic", "sound_prompt": "rain"}, "0.06", "exact"),
        ({"model": "kling-v2-6", "duration": 5, "mode": "pro"}, None, "no_quote"),
        ({"model": "gemini-3-pro-image-preview", "quality": "high"}, None, "no_quote"),
    ],
)
def test_quotes_of_named_requests(
    sandbox: Sandbox, book: PriceBook, body: dict[str, Any], cost: str | None, certainty: str
) -> None:
    quote = quoted(sandbox, {"prompt": "a cat", **body}, book)
    assert (quote.cost, quote.certainty.value) == (None if cost is None else Decimal(cost), certainty), quote
    assert quote.is_exact or quote.reason


def test_the_price_route_gets_neither_the_key_nor_the_connections_headers(sandbox: Sandbox) -> None:
    quoted(sandbox, {"model": "kling-v3", "prompt": "a cat", "duration": 5})
    asked = [request for request in sandbox.requests if request.path.startswith("/api/pricing")]
    assert asked
    assert not any(name.lower() in ("authorization", "x-team") for name in asked[-1].headers)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paid_price": "0.05"}, "paid_price is '0.05'"),
        ({"paid_price": 0}, "paid_price is '0'"),
        ({"paid_price": -1}, "paid_price is '-1'"),
        ({"paid_price": None, "model_price": None}, "paid_price is 'None'"),
        ({"paid_price": True}, "paid_price is 'True'"),
        ({"resolution_paid_prices": {"1K": 0.05, "4K": "dear"}}, "resolution_paid_prices.4K"),
        ({"resolution_paid_prices": [0.05]}, "resolution_paid_prices is not an object"),
        ({"model_name": "another"}, "the prices of another model"),
        ({"input_image_paid_price": -0.1}, "input_image_paid_price"),
    ],
)
def test_a_price_that_is_none_makes_no_quote(sandbox: Sandbox, changes: dict[str, Any], words: str) -> None:
    model = "gemini-3-pro-image-preview"
    sandbox.configure(pricing_changes={model: changes})
    try:
        quote = quoted(sandbox, {"model": model, "prompt": "a cat", "resolution": "1K"})
    finally:
        sandbox.configure(pricing_changes={})
    assert quote.cost is None
    assert words in str(quote.reason)


def test_an_unknown_model_has_no_quote(sandbox: Sandbox) -> None:
    quote = quoted(sandbox, {"model": "no-such-model", "prompt": "a cat"})
    assert quote.certainty is Certainty.NO_QUOTE
    assert quote.reason
