"""Parser of lists and objects that were rendered to text, and test for missing values."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

# What templates render for a value that is missing.
_NOTHING = frozenset({"none", "null", "nan", "nat", "<na>", "undefined"})
_CONSTANTS = {"nan": float("nan"), "NaN": float("nan"), "NaT": None, "null": None, "true": True, "false": False}


def is_nothing(text: str) -> bool:
    """Return whether a rendered text consists of nothing but words for missing values, such as ``None``."""
    words = text.lower().split()
    return all(word in _NOTHING for word in words)


def rendered_value(text: str) -> Mapping[str, Any] | Sequence[Any] | None:
    """Return the object or list that a text holds as JSON or as Python's ``repr``, ``None`` if it holds neither."""
    written = text.strip()
    if not written.startswith(("{", "[")):
        return None
    for read in (json.loads, _literal):
        with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = read(written)
            if isinstance(value, Mapping | list):
                return value
    return None


def _literal(text: str) -> Any:
    return ast.literal_eval(_Literals().visit(ast.parse(text, mode="eval")))


class _Literals(ast.NodeTransformer):
    """Writes what ``repr`` shows for missing values and for scalars of numpy and decimal as constants."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_CONSTANTS[node.id]) if node.id in _CONSTANTS else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(func=ast.Name(id="Decimal"), args=[ast.Constant(value=str(number))], keywords=[]):
                return ast.Constant(float(number))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np")), args=[argument], keywords=[]):
                visited = self.visit(argument)
                return visited if isinstance(visited, ast.expr) else node
        return node
