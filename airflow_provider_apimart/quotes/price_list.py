"""
Price list of one model, read from the public price route.

The route isn't part of APIMart's documented API. So the reply is read strictly: a price that isn't a positive JSON
number makes the whole list unusable, since a wrong quote is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from airflow_provider_apimart.api.json_values import JsonObject, mapping

Prices = Mapping[str, Decimal]

T = TypeVar("T")

_NONE: Prices = {}
# Beyond these no number is a price, and arithmetic with it may overflow.
_LEAST, _MOST = Decimal("1e-9"), Decimal(1_000_000)


# Units of no tariff of the contract.
_OTHER_UNIT = re.compile(r"milli|minute|hour|day|month|frame|character|word|pixel|step|byte|[kmg]b$")
_DOLLARS = ("usd", "us$", "$", "us dollar", "us dollars")


class PriceListError(ValueError):
    """There are no usable prices; the message is a clause that says why."""


@dataclass(frozen=True)
class PriceList:
    """
    Public prices of one model in US dollars, as they are paid (discount included).

    Names of tiers, sizes, qualities and modes are in lower case.

    :param unit: ``"second"`` for videos billed by length, ``"token"`` for metered models, else ``"output"``; ``None``
        where the list doesn't say.
    :param base: Price at the base tier; of a metered model, the published estimate.
    :param resolutions: Prices by resolution.
    :param has_resolutions: Whether the price depends on the resolution, ``None`` where the list doesn't say.
    :param default_resolution: The resolution of a request that names none.
    :param size_qualities: Prices by size, perhaps with ``@resolution``, and by quality.
    :param modes: Prices by a video's mode and sound.
    :param actions: Prices by action, such as ``imagine.fast`` or ``suno@music-v6``.
    :param max_mode_multiplier: Factor of ``max_mode``.
    :param reference: Price of a reference image; 0 where references are free.
    :param references: Prices of a reference image by resolution.
    :param first_reference_free: Whether the first reference image is free.
    :param layers: Prices of a layer by resolution.
    :param most_layers: How many layers a request can have.
    """

    unit: str | None
    base: Decimal | None
    resolutions: Prices = field(default_factory=dict)
    has_resolutions: bool | None = None
    default_resolution: str | None = None
    size_qualities: Mapping[str, Prices] = field(default_factory=dict)
    modes: Prices = field(default_factory=dict)
    actions: Prices = field(default_factory=dict)
    max_mode_multiplier: Decimal | None = None
    reference: Decimal = Decimal(0)
    references: Prices = field(default_factory=dict)
    first_reference_free: bool = False
    layers: Prices = field(default_factory=dict)
    most_layers: int | None = None


def read_price_list(body: object, model: str) -> PriceList:
    """
    Return the prices that a reply of the price route holds.

    :param body: The reply's JSON.
    :param model: The model that was asked for.
    :raises PriceListError: If they can't be read.
    """
    envelope = mapping(body)
    data = mapping(envelope.get("data"))
    if envelope.get("success") is False or not data:
        raise PriceListError(f"the price route has no prices of {model}")
    named = data.get("model_name")
    if isinstance(named, str) and named.lower() != model.lower():
        raise PriceListError(f"the price route answered with the prices of another model, {named[:100]}")
    currency = data.get("currency")
    if currency is not None and _name(currency) not in _DOLLARS:
        raise PriceListError(f"the price list is in {str(currency)[:40]!r}, not in US dollars")
    return _Reader(data).price_list()


class _Reader:
    """
    Reads the field ``data`` of a reply.

    :raises PriceListError: From every method, for the first price that can't be used.
    """

    def __init__(self, data: JsonObject) -> None:
        self._data = data
        self._discount = self._price("discount_rate")

    def price_list(self) -> PriceList:
        default = self._data.get("default_resolution")
        unit = self._unit()
        return PriceList(
            unit=unit,
            base=self._base(unit),
            resolutions=self._paid_table("resolution"),
            has_resolutions=self._flag("resolution_enabled"),
            default_resolution=default.strip().lower() if isinstance(default, str) and default.strip() else None,
            size_qualities=self._size_qualities(),
            modes=self._table("billing_tier_paid_prices"),
            actions=self._actions(),
            max_mode_multiplier=self._price("max_mode_multiplier"),
            reference=self._price("input_image_paid_price", free=True) or Decimal(0),
            references=self._table("input_image_paid_prices", free=True),
            first_reference_free=self._flag("input_image_first_free") is True,
            layers=self._table("layer_decomposition_paid_prices"),
            most_layers=self._most_layers(),
        )

    def _unit(self) -> str | None:
        billing = _name(self._data.get("billing_type") or "")
        metered = _name(_object(self._data.get("pricing"), "pricing").get("unit") or "")
        if "token" in billing or "token" in metered:
            return "token"
        if metered:
            raise PriceListError(f"the price list's pricing.unit is {metered[:40]!r}, which isn't known")
        if _OTHER_UNIT.search(billing):
            raise PriceListError(f"the price list's billing_type is {billing[:40]!r}, which isn't known")
        if "second" in billing:
            return "second"
        return "output" if billing else None

    def _base(self, unit: str | None) -> Decimal | None:
        paid = self._price("paid_price")
        # The list price of a metered model is no estimate of what a request costs.
        return paid if paid is not None or unit == "token" else self._discounted("model_price")

    def _flag(self, name: str) -> bool | None:
        value = self._data.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise PriceListError(f"the price list's {name} is {str(value)[:40]!r}, which is neither true nor false")

    def _most_layers(self) -> int | None:
        most = self._data.get("layer_decomposition_max_images")
        return most if isinstance(most, int) and not isinstance(most, bool) and 0 < most <= _MOST else None

    def _price(self, name: str, *, free: bool = False) -> Decimal | None:
        value = self._data.get(name)
        return None if value is None and name not in self._data else _price(value, name, free=free)

    def _discounted(self, name: str) -> Decimal | None:
        listed = self._price(name)
        return None if listed is None else listed * self._factor()

    def _factor(self) -> Decimal:
        """Return the factor from list prices to those that are paid."""
        discount = self._discount or Decimal(1)
        if discount > 1:
            # It may be percent, or tenths as in Chinese.
            raise PriceListError(f"the price list's discount_rate is {str(discount)[:40]!r}, which is no share")
        return discount

    def _paid_table(self, name: str) -> Prices:
        if paid := self._table(f"{name}_paid_prices"):
            return paid
        return {tier: price * self._factor() for tier, price in self._table(f"{name}_prices").items()}

    def _table(self, name: str, *, free: bool = False) -> Prices:
        return _table(self._data.get(name), name, free=free)

    def _size_qualities(self) -> Mapping[str, Prices]:
        paid = self._data.get("size_quality_paid_prices")
        factor = Decimal(1) if paid or not self._data.get("size_quality_prices") else self._factor()
        tables = _object(paid or self._data.get("size_quality_prices"), "size_quality_paid_prices")
        return _unique(
            (size, {quality: price * factor for quality, price in _table(table, str(size)).items()})
            for size, table in tables.items()
        )

    def _actions(self) -> Prices:
        """Return prices by action; ``{"imagine": {"fast": 0.05}}`` is ``imagine.fast``."""
        found: list[tuple[str, Decimal]] = []
        for name, value in _object(self._data.get("action_paid_prices"), "action_paid_prices").items():
            if isinstance(value, Mapping):
                found += ((f"{name}.{inner}", price) for inner, price in _table(value, str(name)).items())
            else:
                found.append((name, _price(value, str(name))))
        return _unique(found)


def _object(value: object, name: str) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise PriceListError(f"the price list's {name} is not an object")
    return value


def _table(value: object, name: str, *, free: bool = False) -> Prices:
    if not value:
        return _NONE
    return _unique((key, _price(price, f"{name}.{key}", free=free)) for key, price in _object(value, name).items())


def _unique(prices: Iterable[tuple[object, T]]) -> dict[str, T]:
    """Return prices by name. Names that differ in capitals only are one name, which can't have two prices."""
    found: dict[str, T] = {}
    for key, price in prices:
        if found.setdefault(_name(key), price) != price:
            raise PriceListError(f"the price list has two prices of {str(key)[:100]}")
    return found


def _name(key: object) -> str:
    return str(key).strip().lower()


def _price(value: object, name: str, *, free: bool = False) -> Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        price = Decimal(value)
        if price.is_finite() and (_LEAST <= price <= _MOST or (free and price == 0)):
            return price
    raise PriceListError(f"the price list's {name[:100]} is {str(value)[:40]!r}, which is no price")
