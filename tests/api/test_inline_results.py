"""Results that stand in the reply itself, or at URLs without scheme or host."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from airflow_provider_apimart.api.generation import Generation, OutputKind, generation_from_xcom
from airflow_provider_apimart.api.generation_parsing import read_generation
from airflow_provider_apimart.api.inline_media import inline_content

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 800
BASE64 = base64.b64encode(PICTURE).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(600)).decode()
URL = "https://cdn.example/x.png"


def completed(result: Any, **record: Any) -> Generation:
    body = {"code": 200, "data": {"id": "task_1", "status": "completed", "result": result, **record}}
    generation = read_generation(body, base_url="https://gate.example/prefix")
    assert generation is not None
    return generation


INLINE = [
    {"images": [{"url": DATA_URL}]},
    {"images": [{"url": [DATA_URL]}]},
    {"images": [DATA_URL]},
    {"images": [[DATA_URL]]},
    {"images": [BASE64]},
    {"images": [{"b64_json": BASE64}]},
    {"data": [{"b64_json": BASE64}]},
    {"b64_json": BASE64},
    {"images": [{"image_url": {"url": DATA_URL}}]},
    DATA_URL,
    [DATA_URL],
]


@pytest.mark.parametrize("result", INLINE)
def test_an_inline_result_is_an_output_with_its_content(result: Any) -> None:
    generation = completed(result)
    assert [output.content for output in generation.outputs] == [PICTURE]
    assert (generation.outputs[0].is_inline, generation.outputs[0].kind) == (True, OutputKind.IMAGE)
    assert (generation.url, generation.urls) == (None, [])


@pytest.mark.parametrize("result", [*INLINE, {"text": "a cat", "thumbnail": DATA_URL}, {"preview": BASE64}])
def test_no_base64_leaves_the_reply(result: Any) -> None:
    generation = completed(result, usage={"image": BASE64})
    travelling = json.dumps(generation.to_xcom()) + repr(generation)
    assert BASE64[:200] not in travelling
    assert len(travelling) < 3000


def test_an_inline_output_is_still_one_behind_xcom() -> None:
    (output,) = generation_from_xcom(completed(INLINE[0]).to_xcom()).outputs
    assert (output.is_inline, output.content) == (True, None)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("/f/x.png", "https://gate.example/f/x.png"),
        ("//cdn.example/x.png", URL),
        ("cdn.example/x.png", URL),
        (f" {URL} ", URL),
        ([[URL]], URL),
        ([[[URL]], URL], URL),
        ({"url": [[URL]]}, URL),
    ],
)
@pytest.mark.parametrize("place", ["images", "image_url", "url", "data"])
def test_urls_in_other_spellings_are_read(written: Any, url: str, place: str) -> None:
    assert completed({place: written}).urls == [url]


def test_a_jpeg_in_base64_is_no_path() -> None:
    assert JPEG.startswith("/9j/")
    assert completed({"images": [JPEG]}).outputs[0].content is not None


@pytest.mark.parametrize("text", ["a cat on a mat", "and/or", "", "data:", "data:image/png;base64,", "x" * 500])
def test_a_text_is_no_output_and_is_kept(text: str) -> None:
    assert completed({"images": [text], "prompt": "a cat"}).outputs == ()
    if text and not text.startswith("data:"):
        assert completed(text).result == {"text": text}


def test_texts_are_no_files() -> None:
    for text in ("", "abc", "x" * 64, BASE64[:10], "not base64!" * 20, "data:nothing"):
        assert inline_content(text) is None
    assert inline_content("data:image/svg+xml,%3Csvg%2F%3E") == b"<svg/>"
