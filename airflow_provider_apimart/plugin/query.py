"""Query parameters of the pages: filters, order and page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

_LONGEST = 1000
_MOST_PAGES = 10_000


class Sort(StrEnum):
    """Order of a gallery."""

    NEWEST = "newest"
    OLDEST = "oldest"
    COST = "cost"
    REQUEST = "request"
    """As the batch was requested."""


@dataclass(frozen=True)
class Query:
    """
    Filters, order and page.

    :param batch: Name of a batch's entry.
    :param map_index: A map index as text.
    :param q: Text that the prompt, the id or the generation's id contains.
    :param days: Number of days that are counted, today included.
    """

    batch: str = ""
    dag_id: str = ""
    task_id: str = ""
    run_id: str = ""
    map_index: str = ""
    q: str = ""
    status: str = ""
    state: str = ""
    model: str = ""
    sort: str = Sort.NEWEST
    days: int = 30
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Query:
        """Return the query of an address. What makes no sense is as if it weren't there."""
        said = {name: parameters[name].strip()[:_LONGEST] for name in _TEXTS if parameters.get(name)}
        sort = said.get("sort", "")
        said["sort"] = sort if sort in set(Sort) else Sort.NEWEST
        return cls(
            **said,
            days=_whole(parameters.get("days"), 30, 3660),
            page=_whole(parameters.get("page"), 1, _MOST_PAGES),
        )

    def with_changes(self, **changes: Any) -> str:
        """Return the query of an address, with some parameters changed and those left out that have their default."""
        changed = replace(self, **changes)
        said = {each.name: getattr(changed, each.name) for each in fields(self)}
        return urlencode({name: value for name, value in said.items() if value != _DEFAULTS[name]})


_DEFAULTS = {each.name: each.default for each in fields(Query)}
_TEXTS = tuple(each.name for each in fields(Query) if isinstance(each.default, str))


def _whole(value: str | None, default: int, most: int) -> int:
    if value is None or not value.isascii() or not value.isdecimal():
        return default
    return min(max(1, int(value[:9])), most)
