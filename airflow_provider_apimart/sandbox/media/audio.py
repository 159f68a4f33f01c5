"""Audio: a short melody whose notes come from the seed, encoded as MP3, M4A or WAV."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterator
from random import Random
from typing import cast

import av
from av.audio.stream import AudioStream

from airflow_provider_apimart.sandbox.service.outputs import Recipe

RATE = 22_050
NOTE_SECONDS = 0.25
LOUDNESS = 12_000
_SCALE = (0, 2, 4, 7, 9, 12)
_ENCODERS = {"mp3": ("mp3", "mp3"), "m4a": ("ipod", "aac"), "wav": ("wav", "pcm_s16le"), "audio": ("wav", "pcm_s16le")}


def render_audio(recipe: Recipe) -> bytes:
    """
    Render an audio file of the recipe's kind and length.

    :param recipe: kind, length and seed; 0 seconds mean one second
    :return: the file, mono, 22,050 samples per second
    """
    container_format, codec = _ENCODERS[recipe.kind]
    samples = array("h", _melody(recipe.seed, recipe.seconds or 1.0))
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
    frame.sample_rate = RATE
    frame.planes[0].update(samples.tobytes())
    written = io.BytesIO()
    with av.open(written, "w", format=container_format) as container:
        stream = cast(AudioStream, container.add_stream(codec, rate=RATE, layout="mono"))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()


def _melody(seed: str, seconds: float) -> Iterator[int]:
    """Iterate over samples: one note after the other, each fading out."""
    random = Random(seed)
    base, length = random.uniform(200, 330), int(NOTE_SECONDS * RATE)
    for start in range(0, int(seconds * RATE), length):
        pitch = base * 2 ** (random.choice(_SCALE) / 12)
        for position in range(min(length, int(seconds * RATE) - start)):
            fading = 1 - position / length
            yield int(LOUDNESS * fading * math.sin(2 * math.pi * pitch * position / RATE))
