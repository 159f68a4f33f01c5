"""Images: a landscape drawn from the prompt, or the reference images painted over, with a caption."""

from __future__ import annotations

import colorsys
import io
import math
import zlib
from collections.abc import Sequence
from random import Random

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps, UnidentifiedImageError

from airflow_provider_apimart.sandbox.service.outputs import Recipe

Colour = tuple[int, int, int]

WORK_SIDE = 1024
MAX_LINES = 4
MAX_INSETS = 4
HILLS = 5


def render_image(recipe: Recipe, references: Sequence[bytes]) -> bytes:
    """
    Render an image.

    :param recipe: content and size
    :param references: reference image files
    :return: a PNG file
    """
    written = io.BytesIO()
    captioned(recipe, scene(recipe, references)).save(written, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return written.getvalue()


def scene(recipe: Recipe, references: Sequence[bytes]) -> Image.Image:
    """Draw an image without its caption."""
    originals = [original for content in references if (original := _open(content))]
    size = (recipe.width, recipe.height)
    scale = min(1.0, WORK_SIDE / max(size))
    work_size = (max(8, round(size[0] * scale)), max(8, round(size[1] * scale)))
    random = Random(recipe.seed)
    painted = _painted_over(originals[0], work_size, random) if originals else _landscape(work_size, random)
    return _with_insets(painted.resize(size, Image.Resampling.BICUBIC), originals)


def _open(content: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(content)) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError):
        return None


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _landscape(size: tuple[int, int], random: Random) -> Image.Image:
    """Draw layered hills under a sun; the hues come from the seed."""
    hue = random.random()
    picture = _sky(size, _colour(hue + 0.55, 0.55, 0.75), _colour(hue + 0.05, 0.35, 1.0))
    _sun(picture, random, _colour(hue + 0.08, 0.25, 1.0))
    for layer in range(HILLS):
        depth = (layer + 1) / HILLS
        _hill(picture, random, depth, _colour(hue + 0.5 + 0.08 * depth, 0.25 + 0.4 * depth, 0.85 - 0.6 * depth))
    return picture.filter(ImageFilter.SMOOTH)


def _sky(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    column = ImageOps.colorize(Image.linear_gradient("L").resize((1, size[1])), top, bottom)
    return column.resize(size, Image.Resampling.NEAREST)


def _sun(picture: Image.Image, random: Random, colour: Colour) -> None:
    width, height = picture.size
    x, y, radius = width * random.uniform(0.2, 0.8), height * random.uniform(0.2, 0.4), min(width, height) * 0.09
    light = _glow(radius)
    picture.paste(colour, (round(x - light.width / 2), round(y - light.height / 2)), light)


def _glow(radius: float) -> Image.Image:
    """Return the mask of a sun. Its glow is drawn small: to blur all of a large image takes longer than to draw it."""
    small, middle, side = radius / 4, 5 * radius / 4, max(8, round(10 * radius))
    glow = Image.new("L", (max(2, side // 4), max(2, side // 4)))
    ImageDraw.Draw(glow).ellipse((middle - 2 * small, middle - 2 * small, middle + 2 * small, middle + 2 * small), 140)
    light = glow.filter(ImageFilter.GaussianBlur(small)).resize((side, side), Image.Resampling.BICUBIC)
    ImageDraw.Draw(light).ellipse((side / 2 - radius, side / 2 - radius, side / 2 + radius, side / 2 + radius), 255)
    return light


def _hill(picture: Image.Image, random: Random, depth: float, colour: Colour) -> None:
    width, height = picture.size
    waves = [(random.uniform(0.6, 2.5) * (i + 1), random.uniform(0, 2 * math.pi), 0.05 / (i + 1)) for i in range(4)]
    line = [
        (x, height * (0.4 + 0.45 * depth + sum(a * math.sin(f * 2 * math.pi * x / width + p) for f, p, a in waves)))
        for x in range(0, width + 4, 4)
    ]
    ImageDraw.Draw(picture).polygon([*line, (width, height), (0, height)], fill=colour)


def _painted_over(original: Image.Image, size: tuple[int, int], random: Random) -> Image.Image:
    """Repaint a reference: median filter, fewer colours, dark edges, a tint from the seed."""
    fitted = ImageOps.fit(original, size, Image.Resampling.LANCZOS)
    strokes = ImageOps.posterize(fitted.filter(ImageFilter.MedianFilter(7)), 5).filter(ImageFilter.SMOOTH)
    painted = ImageEnhance.Color(strokes).enhance(1.2)
    edges = fitted.convert("L").filter(ImageFilter.GaussianBlur(2)).filter(ImageFilter.FIND_EDGES)
    ink = edges.point([255 - min(255, max(0, edge - 4) * 14) for edge in range(256)]).filter(ImageFilter.SMOOTH)
    shaded = Image.composite(painted, ImageEnhance.Brightness(painted).enhance(0.55), ink)
    return Image.blend(shaded, Image.new("RGB", size, _colour(random.random(), 0.5, 1.0)), 0.1)


def _with_insets(picture: Image.Image, originals: Sequence[Image.Image]) -> Image.Image:
    """Add thumbnails of the references to the upper right."""
    side = max(8, min(picture.size) // 5)
    margin = border = max(2, side // 20)
    right = picture.width - margin
    for original in originals[:MAX_INSETS]:
        small = ImageOps.expand(ImageOps.contain(original, (side, side)), border, "white")
        right -= small.width + margin
        picture.paste(small, (max(0, right), 2 * margin))
    return picture


def captioned(recipe: Recipe, picture: Image.Image) -> Image.Image:
    """Write prompt, model and size on the lower part of an image."""
    unit = max(8, min(picture.size) // 24)
    large, small = ImageFont.load_default(unit), ImageFont.load_default(max(7, unit * 0.62))
    lines = _wrapped(recipe.prompt or "(no prompt)", large, picture.width - 4 * unit)
    height = round(unit * (1.3 * len(lines) + 2.2))
    top = picture.height - height - unit // 2
    box = (unit // 2, top, picture.width - unit // 2, picture.height - unit // 2)
    panel = Image.new("L", picture.size)
    ImageDraw.Draw(panel).rounded_rectangle(box, unit // 2, fill=170)
    picture.paste((12, 16, 24), (0, 0), panel)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((1.5 * unit, top + unit * (0.5 + 1.3 * number)), line, "white", large)
    about = f"{recipe.model}  ·  {recipe.label}  ·  APIMart sandbox"
    pen.text((1.5 * unit, picture.height - 1.75 * unit), about, (190, 200, 215), small)
    return picture


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1]} ..."]
