"""Check of a value against a parameter's limits."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_apimart.api.json_values import number
from airflow_provider_apimart.api.models import AllowedValues, Parameter

_MOST_SHOWN = 12


def allows(parameter: Parameter, value: object) -> bool:
    """
    Return whether a description allows a value, or says nothing about such a value.

    Capitals, surrounding spaces, and numbers as text don't count: whether APIMart takes them isn't described.
    """
    return any(_allows(limits, value) for limits in parameter.alternatives)


def allowed(parameter: Parameter) -> str:
    """Return what a description allows, such as ``1 to 4`` or ``16:9, 9:16, 1:1``."""
    return " or ".join(filter(None, map(_described, parameter.alternatives)))


def _allows(limits: AllowedValues, value: object) -> bool:
    if value is None or isinstance(value, dict):
        return True
    if isinstance(value, list):
        return limits.max_items is None or len(value) <= limits.max_items
    if limits.enum is not None and _comparable(value) not in map(_comparable, limits.enum):
        return False
    size = number(value)
    if size is None:
        return True
    above = limits.minimum is None or size >= limits.minimum
    return above and (limits.maximum is None or size <= limits.maximum)


def _comparable(value: object) -> object:
    size = number(value)
    return str(value).strip().casefold() if size is None else size


def _described(limits: AllowedValues) -> str:
    return ", ".join(_parts(limits))


def _parts(limits: AllowedValues) -> Iterator[str]:
    if limits.enum is not None:
        yield from map(str, limits.enum[:_MOST_SHOWN])
        if len(limits.enum) > _MOST_SHOWN:
            yield f"and {len(limits.enum) - _MOST_SHOWN} more"
    if limits.minimum is not None and limits.maximum is not None:
        yield f"{limits.minimum:g} to {limits.maximum:g}"
    elif limits.minimum is not None:
        yield f"at least {limits.minimum:g}"
    elif limits.maximum is not None:
        yield f"at most {limits.maximum:g}"
    if limits.max_items is not None:
        yield f"at most {limits.max_items} entries"
