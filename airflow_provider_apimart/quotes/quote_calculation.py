"""
Calculation of a quote from a model's price list: one decision without I/O.

The rules are the contract's: an image costs its tier times ``n``, plus its references; a video costs its tier times
its seconds. A variant that the price list doesn't name has no quote; it never counts as the base price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.quotes import variants
from airflow_provider_apimart.quotes.price_list import PriceList
from airflow_provider_apimart.quotes.quote import Certainty, Quote, no_quote
from airflow_provider_apimart.quotes.variants import UnknownVariantError, word

# What APIMart reserves for a video whose length it is asked to choose.
LONGEST_CHOSEN_SECONDS = Decimal(30)
_CHOSEN_BY_MODEL = -1
# More outputs or seconds than this are no request.
_MOST_UNITS = 1_000_000
# These cost the base price where only dearer tiers are listed.
_SMALL_RESOLUTIONS = frozenset({"1k", "2k"})
_ONLY_DEARER = frozenset({"4k"})
_UNPUBLISHED = "isn't published"


@dataclass(frozen=True)
class _Bound:
    """
    A number, or an upper bound of it.

    :param bound_because: Why it may be lower, ``None`` where it is exact.
    """

    value: Decimal
    bound_because: str | None = None

    def times(self, other: _Bound) -> _Bound:
        return _Bound(self.value * other.value, self.bound_because or other.bound_because)

    def plus(self, other: _Bound) -> _Bound:
        return _Bound(self.value + other.value, self.bound_because or other.bound_because)


_NOTHING = _Bound(Decimal(0))
_ONCE = _Bound(Decimal(1))


def quote_request(prices: PriceList, modality: Modality, payload: Mapping[str, Any]) -> Quote:
    """
    Return what a request costs.

    :param prices: The prices of its model.
    :param payload: Body of the request, in which files may stand for the URLs that they will have.
    """
    try:
        price = _Request(prices, modality, payload).price()
    except UnknownVariantError as error:
        return no_quote(str(error))
    certainty = Certainty.AT_MOST if price.bound_because else Certainty.EXACT
    return Quote(price.value, certainty, price.bound_because)


class _Request:
    """
    One request beside the prices of its model.

    :raises UnknownVariantError: From every method that returns a price, if there is no quote.
    """

    def __init__(self, prices: PriceList, modality: Modality, payload: Mapping[str, Any]) -> None:
        self._prices = prices
        self._modality = modality
        self._payload = payload
        self._resolution = word(payload.get("resolution"))
        self._size = word(payload.get("size")) or word(payload.get("aspect_ratio"))

    def price(self) -> _Bound:
        if variants.has_reference_video(self._payload):
            raise UnknownVariantError("the length of a reference video is billed too")
        if self._modality is Modality.VIDEO and self._prices.unit in (None, "token"):
            raise UnknownVariantError(f"what its seconds cost {_UNPUBLISHED}")
        unit = self._unit_price()
        if self._prices.unit == "token":
            unit = _Bound(unit.value, unit.bound_because or "tokens are billed, and this is the published estimate")
        output = unit.times(self._max_mode()).times(self._amount())
        return output if self._modality is Modality.MUSIC else output.times(self._outputs()).plus(self._references())

    def _unit_price(self) -> _Bound:
        """Return the price of one output, of one second, or of one call."""
        prices = self._prices
        if prices.actions:
            return self._action_price()
        if any(name.startswith("token") for name in prices.modes):
            raise UnknownVariantError("tokens are billed, and no estimate is published")
        if variants.is_on(self._payload.get("layer_decomposition")):
            return self._layers_price()
        if prices.size_qualities:
            return self._size_quality_price()
        if (quality := word(self._payload.get("quality"))) not in (None, "auto"):
            raise UnknownVariantError(f"the price of quality {quality!r} {_UNPUBLISHED}")
        modes = {variants.mode_name(name): price for name, price in prices.modes.items()}
        if (mode := variants.mode(self._payload)) or mode in modes:
            return self._mode_price(mode, modes)
        return self._resolution_price()

    def _resolution_price(self) -> _Bound:
        prices = self._prices
        if not prices.resolutions and (prices.has_resolutions is False or self._resolution is None):
            return _Bound(self._base())
        named = self._named_resolution()
        if named is None:
            if not variants.is_pixels(self._size):
                return _dearest([self._base(), *prices.resolutions.values()], "the resolution isn't named")
            return _dearest([self._base(), *prices.resolutions.values()], "the size may imply a resolution")
        return _Bound(self._tier_price(named))

    def _named_resolution(self) -> str | None:
        """Return the resolution that the request names or implies, ``None`` if it can't be known."""
        if self._resolution:
            return self._resolution
        if self._size in self._prices.resolutions:
            return self._size
        return None if variants.is_pixels(self._size) else self._prices.default_resolution

    def _tier_price(self, resolution: str) -> Decimal:
        prices = self._prices
        for name in (f"{self._size}@{resolution}", resolution):
            if name in prices.resolutions:
                return prices.resolutions[name]
        if not prices.resolutions and resolution == prices.default_resolution:
            return self._base()
        if resolution in _SMALL_RESOLUTIONS and prices.resolutions.keys() == _ONLY_DEARER:
            return self._base()
        raise UnknownVariantError(f"the price of resolution {resolution!r} {_UNPUBLISHED}")

    def _base(self) -> Decimal:
        if self._prices.base is None:
            raise UnknownVariantError(
                "tokens are billed, and no estimate is published"
                if self._prices.unit == "token"
                else f"its price {_UNPUBLISHED}"
            )
        return self._prices.base

    def _size_quality_price(self) -> _Bound:
        quality = word(self._payload.get("quality")) or "auto"
        rows = self._size_rows()
        if not rows:
            raise UnknownVariantError(
                f"the price of size {self._size!r} at resolution {self._resolution!r} {_UNPUBLISHED}"
            )
        dearest = [_quality_price(row, quality) for row in rows]
        if len(rows) == 1:
            return dearest[0]
        return _dearest([price.value for price in dearest], "the size is chosen by the model")

    def _size_rows(self) -> list[Mapping[str, Decimal]]:
        """Return the rows of the table that the request may be billed by."""
        table = self._prices.size_qualities
        resolution = self._resolution or self._prices.default_resolution
        sizes = table if self._size in (None, "auto") else [key for key in table if key.split("@")[0] == self._size]
        if resolution is None:
            return [table[key] for key in sizes]
        tier = [table[key] for key in sizes if key.endswith(f"@{resolution}")]
        # A table of sizes alone has no price for a resolution of its own.
        alone = [table[key] for key in sizes if "@" not in key] if resolution == self._prices.default_resolution else []
        return tier or alone

    def _mode_price(self, mode: str, modes: Mapping[str, Decimal]) -> _Bound:
        if mode not in modes:
            raise UnknownVariantError(f"the price of mode {mode!r} {_UNPUBLISHED}")
        if self._prices.resolutions and self._resolution not in (None, self._prices.default_resolution):
            raise UnknownVariantError(f"the price of mode {mode!r} at resolution {self._resolution!r} {_UNPUBLISHED}")
        return _Bound(modes[mode])

    def _layers_price(self) -> _Bound:
        prices = self._prices
        tier = prices.layers.get(self._resolution or prices.default_resolution or "")
        known = [tier] if tier else list(prices.layers.values())
        if not known or prices.most_layers is None or (self._resolution and not tier):
            raise UnknownVariantError(f"the price of its layers {_UNPUBLISHED}")
        return _Bound(max(known) * prices.most_layers, "the number of layers is chosen by the model")

    def _action_price(self) -> _Bound:
        actions, candidates = self._prices.actions, list(self._actions())
        found = next((candidate for candidate in candidates if candidate), [])
        if not found:
            raise UnknownVariantError(f"the price of its action {_UNPUBLISHED}")
        return _dearest([actions[name] for name in found], "the variant isn't named")

    def _actions(self) -> Iterable[list[str]]:
        """Yield the names of the actions that the request may be, the most likely ones first."""
        actions, model = self._prices.actions, word(self._payload.get("model")) or ""
        own = [name for name in actions if name.split("@")[0] == model and "@" in name]
        if own:
            version = word(self._payload.get("version"))
            yield [name for name in own if version is None or _is_version(name, version)]
            return
        action = word(self._payload.get("action")) or "imagine"
        speed = word(self._payload.get("speed")) or word(self._payload.get("mode"))
        yield [name for name in actions if name == (f"{action}.{speed}" if speed else action)]
        yield [name for name in actions if name.startswith(f"{action}.")] if speed is None else []

    def _max_mode(self) -> _Bound:
        if not variants.is_on(self._payload.get("max_mode")):
            return _ONCE
        if self._prices.max_mode_multiplier is None:
            raise UnknownVariantError(f"the price of max_mode {_UNPUBLISHED}")
        return _Bound(self._prices.max_mode_multiplier)

    def _outputs(self) -> _Bound:
        n = self._payload.get("n")
        if other := variants.other_count(self._payload):
            raise UnknownVariantError(f"its number of outputs may be {other}, whose price {_UNPUBLISHED}")
        if n is None:
            return _ONCE
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= _MOST_UNITS:
            raise UnknownVariantError("its n isn't a whole number of outputs")
        return _Bound(Decimal(n))

    def _amount(self) -> _Bound:
        """Return how many units one output has: seconds, or one."""
        if self._prices.unit != "second":
            return _ONCE
        seconds = self._payload.get("duration")
        if seconds is None:
            raise UnknownVariantError("it names no duration")
        if seconds == _CHOSEN_BY_MODEL and not isinstance(seconds, bool):
            return _Bound(LONGEST_CHOSEN_SECONDS, "the duration is chosen by the model")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _MOST_UNITS:
            raise UnknownVariantError("its duration isn't a number of seconds above 0")
        exact = Decimal(str(seconds))
        whole = exact.to_integral_value(ROUND_CEILING)
        return _Bound(whole, None if whole == exact else "a part of a second may be billed as a whole one")

    def _references(self) -> _Bound:
        prices = self._prices
        certain = variants.reference_count(self._payload)
        possible = certain + variants.other_references(self._payload)
        each = self._reference_price() if possible else _NOTHING
        if not each.value:
            return _NOTHING
        price = each.times(_Bound(Decimal(max(0, possible - int(prices.first_reference_free)))))
        if possible == certain or price.bound_because:
            return price
        return _Bound(price.value, "further images may be billed as references")

    def _reference_price(self) -> _Bound:
        prices = self._prices
        if not prices.references:
            return _Bound(prices.reference)
        if named := self._named_resolution():
            if named not in prices.references:
                raise UnknownVariantError(f"the price of references at resolution {named!r} {_UNPUBLISHED}")
            return _Bound(prices.references[named])
        return _dearest([prices.reference, *prices.references.values()], "the price of references isn't certain")


def _is_version(action: str, version: str) -> bool:
    name = action.split("@", 1)[1]
    return name == version or name.endswith(f"-{version}")


def _quality_price(row: Mapping[str, Decimal], quality: str) -> _Bound:
    if quality in row:
        return _Bound(row[quality])
    if quality == "auto" and row:
        return _dearest(row.values(), "the quality is chosen by the model")
    raise UnknownVariantError(f"the price of quality {quality!r} {_UNPUBLISHED}")


def _dearest(prices: Iterable[Decimal], because: str) -> _Bound:
    known = set(prices)
    return _Bound(max(known), because if len(known) > 1 else None)
