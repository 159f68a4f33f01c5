"""The rows in which the packages stand. An import leads down, or to the right in its own row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """
    Packages of one level.

    :param caption: What the packages have in common.
    :param boxes: Each package, or module at the root, with a few words on it; importers stand left of what they import.
    """

    caption: str
    boxes: Mapping[str, str]


ROWS = (
    Row(
        "Classes for DAGs",
        {
            "sensors": "wait for something",
            "operators": "submit and wait",
            "transfers": "save results",
            "triggers": "wait while deferred",
            "cli": "commands",
            "plugin": "pages in Airflow",
            "links": "buttons of a task",
        },
    ),
    Row(
        "Work and I/O",
        {
            "rendering": "templates",
            "hooks": "connection, client",
            "batch": "many in one task",
            "lineage": "assets, OpenLineage",
            "page_index": "entries for the pages",
            "events": "log, metrics",
        },
    ),
    Row(
        "Made once, used again",
        {"library": "results of identical requests"},
    ),
    Row(
        "Paid once, saved whole",
        {
            "quotes": "cost before paying",
            "checks": "against models",
            "durable": "record, key, decision",
            "html": "templates of the pages",
            "results": "download, store",
            "compat": "differences of versions",
        },
    ),
    Row(
        "APIMart's API",
        {"api": "requests, replies, decisions without I/O; two transports"},
    ),
    Row(
        "Facts",
        {"exceptions": "one class for each reaction of users", "get_provider_info": "registration with Airflow"},
    ),
)
# A server with the client's own code would agree with the client's mistakes.
ALONE = Row("On its own", {"sandbox": "stands in for APIMart, shares no code with the rest"})
