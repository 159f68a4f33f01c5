"""Prices and descriptions: the price route agrees with the bills, for every tariff and random requests."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import given, settings, strategies

from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sandbox.service.models import MODELS

from .request_strategies import requests_of
from .support import Client

Body = dict[str, Any]


def prices(sandbox: Sandbox, model: str) -> Body:
    """Read a model's prices as the contract describes them, without a key."""
    reply = requests.get(f"{sandbox.base_url}/api/pricing/model", params={"model": model}, timeout=10)
    data: Body = json.loads(reply.text, parse_float=Decimal)["data"]
    return data


def quoted(listed: Body, body: Body, references: int) -> Decimal | None:
    """Compute the price of a request by the rules of the contract alone; ``None`` where they give no exact price."""
    if listed["billing_type"] == "tiered_token" or body.get("layer_decomposition") or body.get("video_urls"):
        return None
    if listed.get("action_paid_prices"):
        prices_by_action = listed["action_paid_prices"]
        name = {"suno": f"suno@music-{body.get('version', 'v6')}", "flowmusic": "flowmusic@generate"}.get(body["model"])
        price = prices_by_action[name or f"imagine.{body.get('speed', 'fast')}"]
        return Decimal(price * (listed["max_mode_multiplier"] if body.get("max_mode") else 1))
    unit = unit_price(listed, body)
    if listed["billing_type"] == "per_second":
        return unit * body["duration"] * body.get("n", 1) if body.get("duration", -1) > 0 else None
    free = 1 if listed.get("input_image_first_free") else 0
    return unit * body.get("n", 1) + max(0, references - free) * listed.get("input_image_paid_price", Decimal(0))


def unit_price(listed: Body, body: Body) -> Decimal:
    """Return the price of one output or second."""
    tier = str(body.get("resolution") or listed.get("default_resolution"))
    if tables := listed.get("size_quality_paid_prices"):
        asked = body.get("size", "auto")
        keys = (
            [key for key in tables if key.endswith(f"@{tier.lower()}")]
            if asked == "auto"
            else [f"{asked}@{tier.lower()}"]
        )
        return Decimal(max(tables[key][body.get("quality", "auto")] for key in keys))
    if modes := listed.get("billing_tier_paid_prices"):
        key = "-".join(
            part for part in ("pro" * (body.get("mode") == "pro"), "sound" * bool(body.get("sound"))) if part
        )
        return Decimal(modes.get(key, listed["paid_price"]))
    by_tier: Body = {name.lower(): price for name, price in listed.get("resolution_paid_prices", {}).items()}
    return Decimal(by_tier[tier.lower()] if tier.lower() in by_tier else listed["paid_price"])


@settings(max_examples=400, deadline=None)
@given(drawn=requests_of(), ratio=strategies.sampled_from(["1", "0.8", "1.25"]))
def test_every_exact_quote_is_the_bill(shared: Sandbox, drawn: tuple[Body, int], ratio: str) -> None:
    body, references = drawn
    shared.reset()
    shared.configure(account_ratio=Decimal(ratio), balance=Decimal(1000))
    client = Client(shared)
    model = MODELS[body["model"]]
    reply = client.session.post(shared.base_url + model.endpoint, json=body, timeout=10)
    assert reply.status_code == 200, (body, reply.text)
    reserved = shared.dollars
    shared.complete_all()

    price = quoted(prices(shared, model.name), body, references)
    assert shared.dollars <= reserved
    if price is not None:
        assert shared.dollars == price * Decimal(ratio)


@pytest.mark.parametrize(
    ("body", "dollars", "reserved"),
    [
        ({"model": "gpt-image-2-ext", "size": "16:9", "resolution": "2K"}, "0.15", "0.4"),
        ({"model": "gpt-image-2-ext", "size": "auto", "quality": "low"}, "0.015", "0.015"),
        ({"model": "qwen-image-edit", "image_urls": ["https://example.com/a.png"]}, "0.015", "0.015"),
        ({"model": "qwen-image-edit", "image_urls": ["https://example.com/a.png"] * 3}, "0.0189", "0.0189"),
        ({"model": "flux-kontext-multi", "image_urls": ["https://example.com/a.png"]}, "0.034", "0.034"),
        ({"model": "gemini-3.1-flash-lite-image"}, "0.0288", "0.032"),
        ({"model": "midjourney", "speed": "turbo"}, "0.1", "0.1"),
        ({"kind": "videos", "model": "kling-v3", "mode": "pro", "sound": True, "duration": 10}, "1.68", "1.68"),
        ({"kind": "videos", "model": "kling-v3"}, "0.42", "0.42"),
        ({"kind": "videos", "model": "seedance-2.5", "duration": -1}, "1.08", "6.48"),
        ({"kind": "videos", "model": "seedance-2.5", "video_urls": ["https://example.com/a.mp4"]}, "2.16", "2.16"),
        ({"kind": "music", "model": "suno", "max_mode": True}, "0.12", "0.12"),
    ],
)
def test_bills_and_reservations(client: Client, body: Body, dollars: str, reserved: str) -> None:
    assert client.submit(**body).status_code == 200
    assert client.sandbox.dollars == Decimal(reserved)
    client.sandbox.complete_all()

    assert client.sandbox.dollars == Decimal(dollars)


def test_layers_are_reserved_at_their_maximum(client: Client) -> None:
    client.task_id(model="seedream-5.0-pro", layer_decomposition=True)
    reserved = client.sandbox.dollars
    client.sandbox.complete_all()

    assert reserved == Decimal("0.02") * 17
    assert Decimal("0.02") * 3 <= client.sandbox.dollars <= reserved
    assert prices(client.sandbox, "seedream-5.0-pro")["layer_decomposition_max_images"] == 17


def test_a_discount_stands_between_list_price_and_paid_price(sandbox: Sandbox) -> None:
    listed = prices(sandbox, "gemini-3.1-flash-image-preview")

    assert listed["model_price"] * listed["discount_rate"] == listed["paid_price"] == Decimal("0.04")
    assert listed["resolution_paid_prices"] == {"4K": Decimal("0.08")}


def test_a_token_metered_model_may_publish_no_price(sandbox: Sandbox) -> None:
    assert "paid_price" not in prices(sandbox, "grok-image-token")
    assert prices(sandbox, "gemini-3.1-flash-lite-image")["paid_price"] == Decimal("0.032")


def test_a_price_may_rise_and_be_anything(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure(price_factor=Decimal(2))
    client.task_id()
    assert (sandbox.dollars, prices(sandbox, "kling-v2-6")["paid_price"]) == (Decimal("0.1"), Decimal("0.14"))
    unreadable: tuple[Any, ...] = ("0.05", -1, 0, None, [], "free")
    for odd in unreadable:
        sandbox.configure(pricing_changes={"kling-v2-6": {"paid_price": odd}})
        assert prices(sandbox, "kling-v2-6")["paid_price"] == odd


def test_the_price_route_is_public_and_may_fail(sandbox: Sandbox) -> None:
    url = f"{sandbox.base_url}/api/pricing/model"
    assert requests.get(url, params={"model": "nothing"}, timeout=10).json() == {
        "success": False,
        "message": "model not found: nothing",
    }
    sandbox.inject(Fault("html_error", on="pricing"), Fault("not_found", on="pricing"))

    statuses = [requests.get(url, params={"model": "suno"}, timeout=10).status_code for _ in range(3)]
    assert statuses == [502, 404, 200]
    assert {request.route for request in sandbox.requests} == {"pricing"}


def test_models_are_described_on_request(client: Client) -> None:
    plain, described = (client.get(f"/v1/models{query}").json()["data"] for query in ("", "?expand=parameters"))

    assert [each["id"] for each in plain] == [each["id"] for each in described] == list(MODELS)
    assert not any("parameters" in each for each in plain)
    assert {each["category"] for each in described} == {"image", "video", "audio"}
    schemas = {each["id"]: each["parameters"]["input_schema"]["properties"] for each in described}
    assert schemas["kling-v3"]["mode"] == {"type": "string", "enum": ["std", "pro"]}
    assert schemas["gemini-3-pro-image-preview"]["image_urls"]["maxItems"] == 14


def test_the_marketplace_has_pages_without_a_key(sandbox: Sandbox) -> None:
    found: list[str] = []
    for page in range(1, 20):
        url = f"{sandbox.base_url}/api/marketplace/models"
        data = requests.get(url, params={"page": page, "page_size": 4}, timeout=10).json()["data"]
        found += [item["id"] for item in data["items"]]
        assert all(item["pricing"]["starting_price"] > 0 for item in data["items"])
    assert found == list(MODELS)
