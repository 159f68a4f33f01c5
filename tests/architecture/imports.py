"""Imports between the modules of the package, read from its code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import airflow_provider_apimart

FOLDER = Path(airflow_provider_apimart.__file__).parent
Graph = Mapping[str, set[str]]


def module_imports(folder: Path = FOLDER) -> Graph:
    """
    Return which modules of a package each of its modules imports.

    Imports within functions and those for types only count too. Names are relative to the package; a package's own
    module, its ``__init__``, ends with ``__init__``.

    :param folder: The package's folder.
    """
    sources = {_name(path.relative_to(folder)): path for path in sorted(folder.rglob("*.py"))}
    return {name: set(_imported(folder.name, name, path, sources)) - {name} for name, path in sources.items()}


def siblings(graph: Graph, package: str) -> Graph:
    """
    Return the imports between the direct children of a package, each with everything in it.

    :param package: The package's name, which is empty for the root.
    """
    prefix = f"{package}." if package else ""
    children: dict[str, set[str]] = {}
    for importer, imported in graph.items():
        if importer.startswith(prefix):
            child = importer.removeprefix(prefix).partition(".")[0]
            named = (name.removeprefix(prefix).partition(".")[0] for name in imported if name.startswith(prefix))
            children.setdefault(child, set()).update(set(named) - {child})
    return children


def packages(graph: Graph) -> Iterable[str]:
    """Return the names of all packages, that of the root being empty."""
    return [name.removesuffix("__init__").removesuffix(".") for name in graph if name.endswith("__init__")]


def circle(graph: Graph) -> list[str]:
    """Return the names of one circle of imports, or nothing if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        names: list[str] = error.args[1]
        return names
    return []


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def _imported(root: str, importer: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        for name in _named(node, [root, *importer.split(".")]):
            if name == root or name.startswith(f"{root}."):
                yield _module(name.removeprefix(root).removeprefix("."), known)


def _named(node: ast.AST, importer: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = importer[: len(importer) - node.level] if node.level else []
        base = ".".join([*start, *filter(None, [node.module])])
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _module(name: str, known: Mapping[str, Path]) -> str:
    """Return the module that an imported name is, or that defines it."""
    for candidate in (name, f"{name}.__init__".removeprefix(".")):
        if candidate in known:
            return candidate
    return _module(name.rpartition(".")[0], known)
