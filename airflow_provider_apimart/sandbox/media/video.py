"""Videos: a slow pan and zoom over the image of the same recipe, with a progress bar."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import av
from av.video.stream import VideoStream
from PIL import Image, ImageDraw

from airflow_provider_apimart.sandbox.media.image import captioned, scene
from airflow_provider_apimart.sandbox.service.outputs import Recipe

FRAMES_A_SECOND = 8
MARGIN = 1.25


def render_video(recipe: Recipe, references: Sequence[bytes]) -> bytes:
    """
    Render a video.

    :param recipe: content, size and length
    :param references: reference image files
    :return: an MP4 file, H.264 where this PyAV has an encoder for it
    """
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as container:
        stream = cast(VideoStream, container.add_stream(_codec(), rate=FRAMES_A_SECOND))
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, "yuv420p"
        stream.thread_count = 1
        for frame in _frames(recipe, references):
            drawn = av.VideoFrame.from_image(frame)  # type: ignore[no-untyped-call]  # PyAV leaves it untyped
            container.mux(stream.encode(drawn))
        container.mux(stream.encode())
    return written.getvalue()


def _codec() -> str:
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def first_frame(content: bytes) -> bytes:
    """Return the first frame of a video; an image is returned unchanged."""
    if content[4:8] != b"ftyp":
        return content
    with av.open(io.BytesIO(content), "r") as container:
        written = io.BytesIO()
        first = next(container.decode(video=0)).to_image()  # type: ignore[no-untyped-call]  # PyAV leaves it untyped
        first.save(written, "PNG")
        return written.getvalue()


def _frames(recipe: Recipe, references: Sequence[bytes]) -> Iterator[Image.Image]:
    wide = replace(recipe, width=round(recipe.width * MARGIN), height=round(recipe.height * MARGIN))
    painted = scene(wide, references)
    count = max(1, round(recipe.seconds * FRAMES_A_SECOND))
    for number in range(count):
        yield _frame(recipe, painted, number / max(1, count - 1))


def _frame(recipe: Recipe, painted: Image.Image, done: float) -> Image.Image:
    """Crop one frame: the view pans to the right and zooms in."""
    zoom = 1 - (1 - 1 / MARGIN) * (0.4 + 0.6 * done)
    width, height = painted.width * zoom, painted.height * zoom
    left, top = (painted.width - width) * done, (painted.height - height) / 2
    seen = painted.resize(
        (recipe.width, recipe.height), Image.Resampling.BILINEAR, (left, top, left + width, top + height)
    )
    frame = captioned(recipe, seen)
    ImageDraw.Draw(frame).rectangle((0, frame.height - 4, done * frame.width, frame.height), fill="white")
    return frame
