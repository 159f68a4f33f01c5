"""Replies of the price route and the marketplace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.sandbox.service.models import Model
from airflow_provider_apimart.sandbox.service.tariffs import MAX_LAYERS

Json = dict[str, Any]

_BILLING_TYPES = {"image": "per_image", "video": "per_second", "music": "per_call"}


def price_list(model: Model, factor: Decimal) -> Json:
    """
    Return the field ``data`` of the price route.

    :param factor: factor on all prices, such as a price increase
    """
    tariff = model.tariff
    if tariff.tokens and not tariff.estimate:
        return {"model_name": model.name, "billing_type": "tiered_token", "pricing": _token_pricing()}
    paid = model.price * factor
    return {
        "model_name": model.name,
        "billing_type": "tiered_token" if tariff.tokens else _BILLING_TYPES[model.modality],
        "model_price": float(paid / tariff.discount_rate),
        "discount_rate": float(tariff.discount_rate),
        "paid_price": float(paid),
        **_resolutions(model, factor),
        **_variants(model, factor),
        **({"pricing": _token_pricing()} if tariff.tokens else {}),
    }


def _resolutions(model: Model, factor: Decimal) -> Json:
    named = {
        _tier_name(model, name): model.price * tier * factor
        for name, tier in model.resolutions.items()
        if name not in model.tariff.unnamed
    }
    if not model.resolutions:
        return {"resolution_enabled": False}
    default = _tier_name(model, next(iter(model.resolutions)))
    if model.tariff.size_quality:
        return {"resolution_enabled": True, "default_resolution": default}
    return {
        "resolution_enabled": True,
        "default_resolution": default,
        "resolution_prices": _numbers({name: price / model.tariff.discount_rate for name, price in named.items()}),
        "resolution_paid_prices": _numbers(named),
    }


def _tier_name(model: Model, name: str) -> str:
    return name.upper() if model.modality == "video" else name


def _variants(model: Model, factor: Decimal) -> Json:
    tariff = model.tariff
    found: Json = {}
    if tariff.size_quality:
        tables = {size: _numbers(prices, factor) for size, prices in tariff.size_quality.items()}
        found |= {"size_quality_prices": tables, "size_quality_paid_prices": tables}
        found |= {"supported_sizes": list(model.sizes), "supported_qualities": ["auto", "low", "high"]}
    if tariff.modes:
        found["billing_tier_paid_prices"] = _numbers(tariff.modes, factor)
    if tariff.actions:
        found["action_paid_prices"] = _numbers(tariff.actions, factor)
        found["max_mode_multiplier"] = float(tariff.max_mode_multiplier)
    if tariff.reference_price:
        found["input_image_first_free"] = tariff.first_reference_free
        found["input_image_paid_price"] = float(tariff.reference_price * factor)
    if tariff.layer_price:
        found["layer_decomposition_paid_prices"] = {"1K": float(tariff.layer_price * factor)}
        found["layer_decomposition_max_images"] = MAX_LAYERS
    return found


def _numbers(prices: Mapping[str, Decimal], factor: Decimal = Decimal(1)) -> dict[str, float]:
    return {name: float(price * factor) for name, price in prices.items()}


def _token_pricing() -> Json:
    return {
        "unit": "usd_per_million_tokens",
        "pricing_mode": "image_modalities",
        "tier_count": 1,
        "effective_rates": {"input": 0.25, "output": 30.0, "cached_input": 0.025},
        "tiers": [{"up_to_input_tokens": 1_000_000}],
    }


def marketplace(models: Sequence[Model], page: int, page_size: int, factor: Decimal) -> Json:
    """Return a page of the public catalogue."""
    shown = models[(page - 1) * page_size : page * page_size]
    items = [
        {
            "id": model.name,
            "category": model.category,
            "pricing": {"starting_price": float(model.lowest_price * factor), "currency": "USD"},
        }
        for model in shown
    ]
    return {"success": True, "data": {"items": items, "total": len(models), "page": page, "page_size": page_size}}
