"""Check of a value against a parameter's allowed values."""

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
    return any(_allows(allowed, value) for allowed in parameter.alternatives)


def allowed(parameter: Parameter) -> str:
    """Return what a description allows, such as ``1 to 4`` or ``16:9, 9:16, 1:1``."""
    return " or ".join(filter(None, map(_described, parameter.alternatives)))


def _allows(allowed: AllowedValues, value: object) -> bool:
    if value is None or isinstance(value, dict):
        return True
    if isinstance(value, list):
        return allowed.max_items is None or len(value) <= allowed.max_items
    if allowed.enum is not None and _comparable(value) not in map(_comparable, allowed.enum):
        return False
    size = number(value)
    if size is None:
        return True
    above = allowed.minimum is None or size >= allowed.minimum
    return above and (allowed.maximum is None or size <= allowed.maximum)


def _comparable(value: object) -> object:
    size = number(value)
    return str(value).strip().casefold() if size is None else size


def _described(allowed: AllowedValues) -> str:
    return ", ".join(_parts(allowed))


def _parts(allowed: AllowedValues) -> Iterator[str]:
    if allowed.enum is not None:
        yield from map(str, allowed.enum[:_MOST_SHOWN])
        if len(allowed.enum) > _MOST_SHOWN:
            yield f"and {len(allowed.enum) - _MOST_SHOWN} more"
    if allowed.minimum is not None and allowed.maximum is not None:
        yield f"{allowed.minimum:g} to {allowed.maximum:g}"
    elif allowed.minimum is not None:
        yield f"at least {allowed.minimum:g}"
    elif allowed.maximum is not None:
        yield f"at most {allowed.maximum:g}"
    if allowed.max_items is not None:
        yield f"at most {allowed.max_items} entries"
