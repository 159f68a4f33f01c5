"""
The imports between the packages as a picture, for the contributing page.

``python -m tests.architecture.picture`` writes it into ``docs/images``. An arrow that follows from others isn't drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tests.architecture.imports import Graph, module_imports, siblings
from tests.architecture.rows import ALONE, ROWS, Row

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "architecture.svg"
_WIDTH, _CAPTIONS, _MARGIN, _BETWEEN, _HEIGHT, _STEP = 1040, 190, 20, 14, 42, 96
_FILLS = ("#d3e3fd", "#d3f5e3", "#e8def8", "#fdf3c4", "#fde9d3", "#fbd9d9", "#eef2f6")
_LINE, _TEXT, _SMALL = "#64748b", "#0f172a", "#334155"


@dataclass(frozen=True)
class Box:
    """Where a package is drawn, in pixels."""

    left: float
    top: float
    width: float
    row: int

    @property
    def middle(self) -> float:
        """The middle from left to right."""
        return self.left + self.width / 2


def drawn(graph: Graph) -> list[tuple[str, str]]:
    """Return the imports that lead down or to the right, but those that follow from others."""
    order = [name for row in ROWS for name in row.boxes]
    edges = {name: graph.get(name, set()) & set(order[place + 1 :]) for place, name in enumerate(order)}
    return [(name, to) for name, tos in edges.items() for to in sorted(tos) if not _follows(edges, name, to)]


def render(graph: Graph) -> str:
    """Return the picture as SVG."""
    rows = (*ROWS, ALONE)
    boxes = {name: box for number, row in enumerate(rows) for name, box in _places(number, row)}
    height = len(rows) * _STEP - _STEP + _HEIGHT + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" role="img">',
        "<title>Imports between the packages: each leads down, or to the right in its own row</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 10 5 0 10z" fill="{_LINE}"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        *(_arrow(name, to, boxes) for name, to in drawn(graph)),
        *(part for number, row in enumerate(rows) for part in _row(number, row, boxes)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _follows(edges: Graph, start: str, end: str) -> bool:
    """Whether a longer way leads from a package to another."""
    seen: set[str] = set()
    ahead = [name for name in edges[start] if name != end]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead.extend(edges.get(name, ()))
    return end in seen


def _places(number: int, row: Row) -> Iterator[tuple[str, Box]]:
    width = (_WIDTH - _CAPTIONS - _MARGIN - _BETWEEN * (len(row.boxes) - 1)) / len(row.boxes)
    for position, name in enumerate(row.boxes):
        yield name, Box(_CAPTIONS + position * (width + _BETWEEN), _MARGIN + number * _STEP, width, number)


def _arrow(name: str, to: str, boxes: dict[str, Box]) -> str:
    start, end = boxes[name], boxes[to]
    below = start.top + _HEIGHT
    if start.row == end.row:
        dip = below + 12 + 0.05 * (end.left - start.left)
        way = f"M{start.middle + 12:.0f} {below} C{start.middle + 24:.0f} {dip:.0f} {end.middle - 30:.0f} {dip:.0f}"
        way += f" {end.middle - 12:.0f} {below + 1}"
    else:
        # An arrow ends above its own start where the box is wide enough, so that arrows don't share a point.
        inside = min(max(start.middle, end.left + 30), end.left + end.width - 30)
        half = (end.top - below) / 2
        way = f"M{start.middle:.0f} {below} C{start.middle:.0f} {below + half:.0f}"
        way += f" {inside:.0f} {end.top - half:.0f} {inside:.0f} {end.top - 1}"
    return (
        f'<path class="import" data-from="{name}" data-to="{to}" d="{way}" fill="none" stroke="{_LINE}"'
        ' stroke-width="1.3" marker-end="url(#tip)"/>'
    )


def _row(number: int, row: Row, boxes: dict[str, Box]) -> Iterator[str]:
    middle = _MARGIN + number * _STEP + 25
    yield f'<text x="{_MARGIN}" y="{middle}" font-size="12" fill="{_SMALL}">{escape(row.caption)}</text>'
    for name, words in row.boxes.items():
        box = boxes[name]
        yield (
            f'<g class="package" data-name="{name}" data-row="{number}"><rect x="{box.left:.0f}" y="{box.top}"'
            f' width="{box.width:.0f}" height="{_HEIGHT}" rx="5" fill="{_FILLS[number]}" stroke="{_LINE}"/>'
        )
        yield _centred(box, 18, 14, _TEXT, name)
        yield _centred(box, 34, 11, _SMALL, words) + "</g>"


def _centred(box: Box, down: int, size: int, colour: str, words: str) -> str:
    return (
        f'<text x="{box.middle:.0f}" y="{box.top + down}" font-size="{size}" text-anchor="middle" fill="{colour}">'
        f"{escape(words)}</text>"
    )


if __name__ == "__main__":
    PICTURE.write_text(render(siblings(module_imports(), "")))
    print(f"Wrote {PICTURE}")
