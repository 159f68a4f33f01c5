"""Screenshots for the documentation, from the pages that the tests have looked at."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.lab.airflow_lab import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_FOLDER = Path(os.environ.get("SCREENSHOTS") or PROJECT / ".browser")


def keep(shown: Page | Locator, name: str, *, height: int | None = None) -> None:
    """
    Keep what a page, or a part of it, shows.

    :param shown: What to keep.
    :param name: The file's name, without ``.png``.
    :param height: Pixels from the top; all by default.
    """
    with Image.open(io.BytesIO(shown.screenshot(animations="disabled"))) as whole:
        part = whole.crop((0, 0, whole.width, height or whole.height))
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # Pages have few colours: a palette makes their pictures a third as large.
    part.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(_FOLDER / f"{name}.png", optimize=True)
