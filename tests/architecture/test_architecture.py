"""Imports lead one way: no circle on any level, and no arrow upwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.imports import circle, module_imports, packages, siblings
from tests.architecture.picture import PICTURE, drawn, render
from tests.architecture.rows import ALONE, ROWS

MODULES = module_imports()
PACKAGES = siblings(MODULES, "")
PLACES = [name for row in ROWS for name in row.boxes]
# The version and the sentence on the package itself: every import of the package runs it.
ROOT = "__init__"


def test_every_package_has_a_place() -> None:
    assert sorted([*PLACES, *ALONE.boxes, ROOT]) == sorted(PACKAGES)


def test_no_import_leads_up_or_to_the_left() -> None:
    order = {name: number for number, name in enumerate(PLACES)}
    wrong = {
        (importer, imported)
        for importer in PLACES
        for imported in PACKAGES[importer] - {ROOT}
        if imported not in order or order[imported] < order[importer]
    }
    assert not wrong


def test_the_sandbox_imports_nothing_of_the_provider() -> None:
    assert PACKAGES["sandbox"] <= {ROOT}


def test_modules_import_each_other_in_no_circle() -> None:
    assert not circle(MODULES)


@pytest.mark.parametrize("package", [name for name in packages(MODULES) if name])
def test_the_parts_of_a_package_import_each_other_in_no_circle(package: str) -> None:
    assert not circle(siblings(MODULES, package))


def test_the_picture_in_the_documentation_is_the_code_of_today() -> None:
    assert PICTURE.read_text() == render(PACKAGES), "Run: python -m tests.architecture.picture"


def test_an_arrow_that_follows_from_others_is_not_drawn() -> None:
    graph = {"operators": {"hooks", "api"}, "hooks": {"api"}, "api": set[str]()}
    assert drawn(graph) == [("operators", "hooks"), ("hooks", "api")]


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("import pack.b", {"b"}),
        ("from pack import b", {"b"}),
        ("from pack.b import value", {"b"}),
        ("from . import b", {"b"}),
        ("from .sub import deep", {"sub.deep"}),
        ("from pack import sub", {"sub.__init__"}),
        ("from pack import __version__", {"__init__"}),
        ("def f():\n    from pack.sub.deep import value", {"sub.deep"}),
        ("if TYPE_CHECKING:\n    import pack.sub.deep", {"sub.deep"}),
        ("import packaging", set()),
    ],
)
def test_imports_are_found_in_every_form(tmp_path: Path, text: str, imported: set[str]) -> None:
    folder = tmp_path / "pack"
    (folder / "sub").mkdir(parents=True)
    for name, content in {"__init__": "", "a": text, "b": "", "sub/__init__": "", "sub/deep": ""}.items():
        (folder / f"{name}.py").write_text(content)
    assert module_imports(folder)["a"] == imported


def test_circles_are_found_on_every_level() -> None:
    apart = {"up.one": {"down.two"}, "down.three": {"up.four"}, "down.two": set[str](), "up.four": set[str]()}
    assert not circle(apart)
    assert set(circle(siblings(apart, ""))) == {"up", "down"}
    assert set(circle({"a": {"b"}, "b": {"a"}})) == {"a", "b"}
