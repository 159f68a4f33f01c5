"""Pictures as a page shows them, and as APIMart made them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from urllib.request import urlopen

from PIL import Image, ImageChops, ImageStat

if TYPE_CHECKING:
    from playwright.sync_api import Locator


def looks_like(shown: Image.Image, made: Image.Image) -> bool:
    """Whether a picture on a page is the picture that was made, but for its size."""
    difference = ImageChops.difference(shown.convert("RGB"), made.convert("RGB").resize(shown.size))
    return max(ImageStat.Stat(difference).mean) < 6


def shown(picture: Locator) -> Image.Image:
    """Return what the page shows in the place of a picture, once the picture is loaded."""
    picture.wait_for()
    picture.page.wait_for_function(
        "picture => picture.complete && picture.naturalWidth > 0", arg=picture.element_handle()
    )
    return Image.open(io.BytesIO(picture.screenshot()))


def fetched(url: str) -> Image.Image:
    """Return the picture that is at a URL."""
    with urlopen(url) as reply:
        return Image.open(io.BytesIO(reply.read()))
