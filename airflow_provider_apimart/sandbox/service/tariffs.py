"""Price rules by size, mode, action, reference or token."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MAX_LAYERS = 17
TOKEN_SHARE = Decimal("0.9")
"""Share of the published estimate that a token-metered image is billed."""

Prices = Mapping[str, Decimal]


@dataclass(frozen=True)
class Tariff:
    """
    Pricing rules; all prices are paid prices in US dollars.

    :param discount_rate: paid price as a share of the list price
    :param unnamed: resolutions that the price route omits, since they cost the base price
    :param size_quality: prices by size (with ``@resolution``) and quality, instead of the base price
    :param modes: prices by mode and sound: ``pro``, ``sound``, ``pro-sound``
    :param actions: prices by action, instead of the base price
    :param max_mode_multiplier: factor of ``max_mode``
    :param reference_price: price of each reference image
    :param first_reference_free: whether the first reference image is free
    :param layer_price: price of each layer with ``layer_decomposition``; reserved for :data:`MAX_LAYERS`
    :param tokens: whether the model is metered by token
    :param estimate: whether the price route publishes an estimate for a token-metered model
    """

    discount_rate: Decimal = Decimal(1)
    unnamed: tuple[str, ...] = ()
    size_quality: Mapping[str, Prices] = field(default_factory=dict)
    modes: Prices = field(default_factory=dict)
    actions: Prices = field(default_factory=dict)
    max_mode_multiplier: Decimal = Decimal(1)
    reference_price: Decimal = Decimal(0)
    first_reference_free: bool = False
    layer_price: Decimal = Decimal(0)
    tokens: bool = False
    estimate: bool = True

    def unit_price(self, payload: Mapping[str, Any], tier_price: Decimal, *, worst: bool = False) -> Decimal:
        """
        Return the price of an output, of a second of video, or of a call.

        :param tier_price: price of the resolution
        :param worst: return the highest price that the request may cost, which is reserved
        """
        if self.actions:
            return self._action_price(payload, tier_price)
        if self.size_quality:
            return self._size_price(payload, worst=worst)
        if self.modes:
            return self.modes.get(_mode(payload), tier_price)
        if self.layer_price and payload.get("layer_decomposition"):
            return self.layer_price * (MAX_LAYERS if worst else _layers(payload))
        return tier_price * (TOKEN_SHARE if self.tokens and not worst else 1)

    def _action_price(self, payload: Mapping[str, Any], base: Decimal) -> Decimal:
        price = next((self.actions[name] for name in _actions(payload) if name in self.actions), base)
        return price * (self.max_mode_multiplier if payload.get("max_mode") else 1)

    def _size_price(self, payload: Mapping[str, Any], *, worst: bool) -> Decimal:
        quality = str(payload.get("quality") or "auto")
        tables = [self.size_quality[name] for name in self._sizes(payload)]
        if worst and quality == "auto":
            return max(price for table in tables for price in table.values())
        return max(table[quality] for table in tables)

    def _sizes(self, payload: Mapping[str, Any]) -> list[str]:
        """Return the keys that a request may be priced by: several for the size ``auto``."""
        size, tier = payload.get("size") or "auto", str(payload.get("resolution") or "1K").lower()
        if size == "auto":
            return [name for name in self.size_quality if name.endswith(f"@{tier}")]
        return [f"{size}@{tier}"]

    def references_price(self, count: int) -> Decimal:
        """Return the price of reference images."""
        return self.reference_price * max(0, count - int(self.first_reference_free))


def _mode(payload: Mapping[str, Any]) -> str:
    parts = ("pro" if payload.get("mode") == "pro" else "", "sound" if payload.get("sound") else "")
    return "-".join(filter(None, parts))


def _layers(payload: Mapping[str, Any]) -> int:
    digest = hashlib.sha256(str(payload.get("prompt")).encode("utf-8", "replace")).digest()
    return 3 + digest[0] % (MAX_LAYERS - 2)


def _actions(payload: Mapping[str, Any]) -> Iterable[str]:
    yield f"imagine.{payload.get('speed') or 'fast'}"
    yield f"suno@music-{payload.get('version') or 'v6'}"
    yield "flowmusic@generate"
