"""Screenshots for the documentation, from the pages that the tests have looked at."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.lab.fork_server import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator

_IS_STILL = """
    () => document.getAnimations().every(each => each.effect.getComputedTiming().endTime === Infinity)
"""
_FOLDER = Path(os.environ.get("SCREENSHOTS") or PROJECT / ".browser")


def keep(name: str, *elements: Locator, margin: int = 0) -> None:
    """
    Keep the part of a page that holds some elements, all of which are in sight.

    :param name: The file's name, without ``.png``.
    :param elements: The elements, of one page.
    :param margin: Pixels around them.
    """
    page = elements[0].page
    # What unfolds has its place only when it has unfolded.
    page.wait_for_function(_IS_STILL)
    shot = page.screenshot(clip=_around(elements, margin), animations="disabled")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(shot)) as picture:
        # Pages have few colours: a palette makes their pictures a third as large.
        few_colours = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few_colours.save(_FOLDER / f"{name}.png", optimize=True)


def _around(elements: tuple[Locator, ...], margin: int) -> FloatRect:
    boxes = [box for box in (element.bounding_box() for element in elements) if box]
    left, top = min(box["x"] for box in boxes) - margin, min(box["y"] for box in boxes) - margin
    right = max(box["x"] + box["width"] for box in boxes) + margin
    bottom = max(box["y"] + box["height"] for box in boxes) + margin
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}
