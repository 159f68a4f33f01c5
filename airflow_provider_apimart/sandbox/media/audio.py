"""Audio: a short tone, for the dialect whose results are audio."""

from __future__ import annotations

import io
import math
import struct
import wave

from airflow_provider_apimart.sandbox.service.outputs import Recipe

RATE = 8000


def render_audio(recipe: Recipe) -> bytes:
    """Render one second of a tone whose pitch comes from the seed; returns a WAV file."""
    pitch = 220 + sum(recipe.seed.encode()) % 440
    samples = (int(12_000 * math.sin(2 * math.pi * pitch * i / RATE)) for i in range(RATE))
    written = io.BytesIO()
    with wave.open(written, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(RATE)
        audio.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return written.getvalue()
