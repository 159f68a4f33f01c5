"""Statements of the pages about the package, compared with the package."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_apimart import exceptions
from airflow_provider_apimart.events import metrics
from tests.lab.fork_server import PROJECT

PACKAGE, DOCS = PROJECT / "airflow_provider_apimart", PROJECT / "docs"
TROUBLES = (DOCS / "troubleshooting.rst").read_text()
ERRORS = [
    name
    for name, value in inspect.getmembers(exceptions, inspect.isclass)
    if value.__module__ == exceptions.__name__ and name != "ApimartError"
]
QUOTES = sorted(set(re.findall(r'"([^"\n]+)"', TROUBLES[: TROUBLES.index("\nAirflow itself\n")])))


def texts() -> str:
    """Return all texts of the package, one a line, with an ellipsis for what is filled in."""
    trees = (ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(filter(None, map(text_of, nodes)))


def text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_explained(name: str) -> None:
    explained = dict(re.findall(r"\n(Apimart\w+)\n\^+\n(.*?)(?=\n\S+\n[\^-]{4}|\Z)", TROUBLES, re.DOTALL))
    final = issubclass(getattr(exceptions, name), AirflowFailException)
    assert ("*Not retried.*" in explained[name]) == final


def test_every_message_that_is_quoted_is_one_of_ours() -> None:
    ours = texts()
    unknown = [quote for quote in QUOTES if any(part not in ours for part in map(str.strip, quote.split("…")))]
    assert not unknown
    assert len(QUOTES) > 20


def test_every_metric_is_named() -> None:
    page = (DOCS / "rate-limits.rst").read_text()
    names = [value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)]
    assert sorted(re.findall(r"``(apimart\.[a-z._]+)``", page)) == sorted(names)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (PROJECT / "README.md").read_text())
    assert not [link for link in links if "://" not in link and not (PROJECT / link).exists()]


def test_every_example_is_shown_or_named_in_a_page() -> None:
    pages = "".join(path.read_text() for path in DOCS.rglob("*.rst"))
    assert not [path.name for path in Path(PROJECT / "example_dags").glob("*.py") if path.name not in pages]


def test_every_file_that_contributing_names_exists() -> None:
    named = set(re.findall(r"``([a-z0-9_/]+\.py)``", (DOCS / "contributing.rst").read_text()))
    assert len(named) > 20
    assert not [name for name in sorted(named) if not (PACKAGE / name).exists() and not (PROJECT / name).exists()]


def test_every_function_that_contributing_names_is_in_its_module() -> None:
    page = (DOCS / "contributing.rst").read_text()
    named = re.findall(r"``([a-z0-9_/]+)\.py``\s+\(((?:``[\w.]+``,?\s*)+)\)", page)
    functions = [(module, name) for module, names in named for name in re.findall(r"``([\w.]+)``", names)]
    assert len(functions) > 30
    for module, name in functions:
        attrgetter(name)(import_module(f"{PACKAGE.name}.{module.replace('/', '.')}"))
