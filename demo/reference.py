"""The reference picture of the demo, drawn here so that the repository holds no binary."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

_SIZE = (960, 540)


def draw_reference(path: Path) -> Path:
    """Draw hills under an evening sun into a PNG file, unless it is there already, and return its path."""
    if path.exists():
        return path
    picture = Image.new("RGB", _SIZE)
    draw = ImageDraw.Draw(picture)
    _sky(draw)
    draw.ellipse((600, 130, 740, 270), fill=(255, 236, 179))
    for height, colour in ((330, (122, 92, 130)), (390, (86, 70, 112)), (450, (52, 48, 84))):
        _hills(draw, height, colour)
    picture.filter(ImageFilter.GaussianBlur(1)).save(path)
    return path


def _sky(draw: ImageDraw.ImageDraw) -> None:
    width, height = _SIZE
    for y in range(height):
        share = y / height
        draw.line((0, y, width, y), fill=(int(250 - 60 * share), int(150 + 40 * share), int(110 + 90 * share)))


def _hills(draw: ImageDraw.ImageDraw, height: int, colour: tuple[int, int, int]) -> None:
    width, bottom = _SIZE
    steps = range(0, width + 40, 40)
    tops = [(x, height + int(45 * ((x * 7919 + height) % 97 / 97) - 20)) for x in steps]
    draw.polygon([(0, bottom), *tops, (width, bottom)], fill=colour)
