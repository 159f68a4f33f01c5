"""Results that stand in the reply itself, or at URLs without scheme or host."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import Generation, OutputKind, generation_from_xcom
from airflow_provider_apimart.api.generation_parsing import read_generation
from airflow_provider_apimart.api.inline_media import inline_content
from airflow_provider_apimart.api.waiting import check_not_empty

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
    f" {DATA_URL}\n",
    f'"{DATA_URL}"',
    json.dumps([DATA_URL]),
    DATA_URL.replace(";base64", ";charset=utf-8;BASE64"),
    DATA_URL.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D").replace("image%2Fpng", "image/png"),
    DATA_URL.replace("+", "-").replace("/", "_").rstrip("=").replace("image_png", "image/png"),
    {"images": [DATA_URL.removeprefix("data:")]},
    {"images": {"0": DATA_URL}},
    {"images": [{"image": BASE64}]},
    {"images": [{"inlineData": {"mimeType": "image/png", "data": BASE64}}]},
    {"output": {"content": BASE64}},
]


WITHIN_TEXTS = [
    {"text": f"Here it is: ![a fox]({DATA_URL}) and more"},
    {"text": f"<img src='{DATA_URL}'>"},
    {"report": json.dumps({"preview": BASE64, "score": 1})},
]


@pytest.mark.parametrize("result", INLINE)
def test_an_inline_result_is_an_output_with_its_content(result: Any) -> None:
    generation = completed(result)
    assert [output.content for output in generation.outputs] == [PICTURE]
    assert (generation.outputs[0].is_inline, generation.outputs[0].kind) == (True, OutputKind.IMAGE)
    assert (generation.url, generation.urls) == (None, [])


@pytest.mark.parametrize(
    "result", [*INLINE, {"text": "a cat", "thumbnail": DATA_URL}, {"preview": BASE64}, *WITHIN_TEXTS]
)
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
        (f"<{URL}>", URL),
        (f"'{URL}'", URL),
        (json.dumps([URL]), URL),
        (json.dumps([{"url": URL}]), URL),
        ("https:\\/\\/cdn.example\\/x.png", URL),
        ("files/x.png", "https://gate.example/prefix/files/x.png"),
        ("93.184.216.34:9000/x.png", "https://93.184.216.34:9000/x.png"),
        (f"{URL}?a=1&amp;b=2", f"{URL}?a=1&b=2"),
        (f"{URL}?x-oss-process=image/resize,w_100", f"{URL}?x-oss-process=image/resize,w_100"),
    ],
)
@pytest.mark.parametrize("place", ["images", "image_url", "url", "data"])
def test_urls_in_other_spellings_are_read(written: Any, url: str, place: str) -> None:
    assert completed({place: written}).urls == [url]


@pytest.mark.parametrize("between", [",", ", ", "\n", " ", " | "])
def test_several_urls_in_one_text_are_several_outputs(between: str) -> None:
    assert completed({"images": [{"url": f"{URL}{between}{URL}?2"}]}).urls == [URL, f"{URL}?2"]


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"images": {"0": URL, "1": {"url": f"{URL}?2"}}}, OutputKind.IMAGE),
        ({"images": [{"link": URL}, {"link": f"{URL}?2"}]}, OutputKind.IMAGE),
        ({"output": [URL, f"{URL}?2"]}, OutputKind.IMAGE),
        ({"video": {"uri": URL}, "result_video_url": f"{URL}?2"}, OutputKind.VIDEO),
        ({"deep": [{"any": URL}, {"name": f"{URL}?2"}]}, OutputKind.IMAGE),
    ],
)
def test_media_in_fields_that_no_contract_names_are_found(result: Any, kind: OutputKind) -> None:
    generation = completed({"prompt": "a fox", "thumbnail": "https://cdn.example/t.png", **result})
    assert generation.urls == [URL, f"{URL}?2"]
    assert {output.kind for output in generation.outputs} == {kind}


@pytest.mark.parametrize(
    "result",
    [
        {"text": "see https://docs.example/x.png for more"},
        {"homepage": "https://docs.example/page"},
        {"input_image_url": URL, "preview_url": URL, "callback": URL, "text": "a fox"},
    ],
)
def test_an_address_that_is_no_output_stays_a_part_of_the_result(result: Any) -> None:
    generation = completed(result)
    assert generation.outputs == ()
    assert generation.result == result


@pytest.mark.parametrize("images", [None, [], "", {}, [None], [{"url": "s3://bucket/x.png"}], ["a fox"]])
def test_media_that_are_missing_or_cannot_be_read_are_no_result(images: Any) -> None:
    """A task never succeeds with nothing."""
    with pytest.raises(errors.ApimartEmptyResultError, match="APIMart's reply holds no output"):
        check_not_empty(completed({"images": images}))
    check_not_empty(completed({"images": images, "prompt": "a fox"}))


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
