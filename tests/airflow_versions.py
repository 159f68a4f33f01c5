"""Features that older versions of Airflow lack, and the mark of tests that need them."""

from __future__ import annotations

from importlib.metadata import version

import pytest

running = tuple(int(part) for part in version("apache-airflow").split(".")[:2])

SINCE = {
    "runner of triggers in one process": (3, 1),
    "approval task": (3, 1),
    "page of a plugin": (3, 1),
    "assets by that name": (3, 0),
    "command line of providers": (3, 2),
    "connection form from the provider's description": (3, 2),
    "AWAITING_INPUT state": (3, 3),
    "links in the text of an approval": (3, 3),
    "clickable URLs in XCom": (3, 3),
    "retry policy": (3, 3),
    "state store": (3, 3),
    "trigger on_kill": (3, 3),
}


def lacks(feature: str) -> bool:
    """Return whether the Airflow that runs the tests is older than a feature, one of ``SINCE``."""
    return running < SINCE[feature]


def reason(feature: str) -> str:
    """Return why a test that needs a feature is skipped."""
    return f"Airflow {running[0]}.{running[1]} has no {feature}"


def needs(feature: str) -> pytest.MarkDecorator:
    """Return the mark of a test that is skipped where Airflow lacks a feature, one of ``SINCE``."""
    return pytest.mark.skipif(lacks(feature), reason=reason(feature))
