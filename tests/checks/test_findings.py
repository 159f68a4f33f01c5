from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.checks.findings import Models
from tests.api.shapes import MODELS
from tests.api.test_arbitrary_replies import places, replaced, trees

from .support import entry, messages, models

pytestmark = pytest.mark.slow

SIZE = {"size": {"type": "string", "enum": ["1:1", "16:9", "2K", "auto"]}}
N = {"n": {"type": "integer", "minimum": 1, "maximum": 4}}
ALL = {"prompt": {}, "aspect_ratio": {}, "resolution": {}, **SIZE, **N, "image_urls": {"maxItems": 2}}


def urls(count: int) -> list[str]:
    return [f"https://example.com/{number}.png" for number in range(count)]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"size": "17:9"}, "Invalid size for m: '17:9' (allowed: 1:1, 16:9, 2K, auto)"),
        ({"size": 3}, "Invalid size for m: 3 (allowed: 1:1, 16:9, 2K, auto)"),
        ({"n": 5}, "Invalid n for m: 5 (allowed: 1 to 4)"),
        ({"n": 0}, "Invalid n for m: 0 (allowed: 1 to 4)"),
        ({"image_urls": urls(3)}, "Invalid image_urls for m: 3 entries (allowed: at most 2 entries)"),
        ({"promt": "a fox"}, "Unknown parameter 'promt' for m (did you mean 'prompt'?)"),
        ({"aspectratio": "16:9"}, "Unknown parameter 'aspectratio' for m (did you mean 'aspect_ratio'?)"),
        ({"aspectRatio": "16:9"}, "Unknown parameter 'aspectRatio' for m (did you mean 'aspect_ratio'?)"),
        ({"aspect_ration": "16:9"}, "Unknown parameter 'aspect_ration' for m (did you mean 'aspect_ratio'?)"),
        ({"resolutoin": "4K"}, "Unknown parameter 'resolutoin' for m (did you mean 'resolution'?)"),
        ({"image_url": "https://x/a.png"}, "Unknown parameter 'image_url' for m (did you mean 'image_urls'?)"),
        (
            {"sizzle": "big"},
            "? Unknown parameter 'sizzle' for m (not in the model's description; it may be ignored)",
        ),
        ({"seed": 1}, "? Unknown parameter 'seed' for m (not in the model's description; it may be ignored)"),
    ],
)
def test_what_a_description_contradicts_is_found(payload: dict[str, Any], message: str) -> None:
    assert messages(models(entry("m", ALL)), **payload) == [message]


@pytest.mark.parametrize(
    "payload",
    [
        {"size": "16:9", "n": 4, "image_urls": urls(2), "prompt": "a fox"},
        {"size": "2k"},
        {"size": " AUTO "},
        {"n": "3"},
        {"n": 3.0},
        {"n": None, "size": None, "anything": None},
        {"n": "many"},
        {"webhook": "https://x/", "metadata": {"a": 1}},
        {"image_urls": "https://x/a.png"},
        {"size": {"width": 5}},
    ],
)
def test_what_a_description_allows_or_says_nothing_about_is_no_finding(payload: dict[str, Any]) -> None:
    assert messages(models(entry("m", ALL)), **payload) == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": [5, 10]}, "10"),
        ({"enum": ["5", "10"]}, 5),
        ({"enum": ["5", "10"]}, 5.0),
        ({"enum": [True]}, True),
        ({"enum": ["true"]}, True),
        ({"minimum": 0.5}, 0.5),
        ({"maximum": 1}, "1.0"),
        ({"anyOf": [{"enum": ["auto"]}, {"minimum": 1}]}, "auto"),
        ({"anyOf": [{"enum": ["auto"]}, {"minimum": 1}]}, 7),
        ({"minimum": 5, "maximum": 1}, 3),
        ({"enum": []}, "x"),
    ],
)
def test_values_that_are_allowed(schema: Any, value: Any) -> None:
    assert messages(models(entry("m", {"x": schema})), x=value) == []


@pytest.mark.parametrize(
    ("schema", "value", "allowed"),
    [
        ({"enum": [5, 10]}, 8, "5, 10"),
        ({"enum": [1]}, True, "1"),
        ({"const": "x"}, "y", "x"),
        ({"enum": list(range(20))}, 99, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, and 8 more"),
        ({"minimum": 0.5}, 0.4, "at least 0.5"),
        ({"maximum": 360}, "361", "at most 360"),
        ({"oneOf": [{"enum": ["auto"]}, {"minimum": 10, "maximum": 20}]}, 7, "auto or 10 to 20"),
    ],
)
def test_values_that_are_not(schema: Any, value: Any, allowed: str) -> None:
    assert messages(models(entry("m", {"x": schema})), x=value) == [f"Invalid x for m: {value!r} (allowed: {allowed})"]


LISTED = models(
    entry("gemini-3-pro-image-preview", ALL),
    entry("gemini-2.5-flash-image-preview", ALL),
    entry("seedance-2.5", {"prompt": {}}, "video"),
    entry("gpt-image-2-ext", ALL),
)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "gemini-3-pro-image",
            "Unknown model 'gemini-3-pro-image' (did you mean 'gemini-3-pro-image-preview'?)",
        ),
        ("whatever", "Unknown model 'whatever' (APIMart lists 4 others for this API key)"),
        ("gemini-3-pro-image-preveiw", "Unknown model 'gemini-3-pro-image-preveiw' (did you mean 'gemini-3-pro-image"),
        (
            "doubao-seedance-2-5",
            "? Unlisted model 'doubao-seedance-2-5' ('seedance-2.5' is listed; older ids may be accepted)",
        ),
        ("gpt-image-2-apimart", "? Unlisted model 'gpt-image-2-apimart' ('gpt-image-2-ext' is listed; older ids"),
        ("gpt-image-2", "? Unlisted model 'gpt-image-2' ('gpt-image-2-ext' is listed; older ids may be accepted)"),
    ],
)
def test_an_unlisted_model(name: str, message: str) -> None:
    (found,) = messages(LISTED, model=name)
    assert found.startswith(message)


def test_nothing_is_found_where_nothing_is_listed() -> None:
    assert messages(Models([]), model="whatever", sizzle=1) == []


def test_a_model_of_another_modality() -> None:
    assert messages(LISTED, Modality.VIDEO, model="gpt-image-2-ext", n=99) == [
        "Wrong kind of model for video generation: gpt-image-2-ext (listed for image)"
    ]
    assert messages(LISTED, Modality.VIDEO, model="seedance-2.5") == []


def test_a_chat_model() -> None:
    chat = {"id": "m", "category": "chat"}
    assert messages(models(chat)) == ["Wrong kind of model for image generation: m (listed for chat)"]
    assert messages(models({**chat, "capability_tags": ["image_generation"]})) == []


@pytest.mark.parametrize("known", [{"id": "m"}, {"id": "m", "category": "new"}, {"id": "m", "parameters": 5}])
def test_a_model_of_which_nothing_is_described_takes_everything(known: Any) -> None:
    assert messages(models(known), Modality.VIDEO, promt="a", n=99, sizzle=1) == []


def test_a_model_that_is_listed_for_each_operation() -> None:
    listed = models(entry("m", {"prompt": {}, **N}), entry("m", {"prompt": {}, "duration": {"enum": [5]}}, "video"))
    assert messages(listed, Modality.VIDEO, duration=5) == []
    assert messages(listed, Modality.VIDEO, duration=6) == ["Invalid duration for m: 6 (allowed: 5)"]
    assert messages(listed, Modality.IMAGE, n=5) == ["Invalid n for m: 5 (allowed: 1 to 4)"]
    assert messages(listed, Modality.MUSIC) == [
        "Wrong kind of model for music generation: m (listed for image and video)",
    ]


def test_parameters_of_another_operation_say_nothing() -> None:
    listed = models({**entry("m", N), "capability_tags": ["image_generation", "video_generation"]})
    assert messages(listed, Modality.VIDEO, n=5) == []


def test_names_of_other_models_are_no_misspellings() -> None:
    listed = models(entry("m", {"prompt": {}, "styles": {}}), entry("other", {"style": {}}))
    assert messages(listed, style="x") == ["? Unknown parameter 'style' for m (did you mean 'styles'?)"]


@pytest.mark.parametrize("name", ["image_urls", "mode", "seed", "speed"])
def test_fields_of_the_contract_are_no_misspellings(name: str) -> None:
    listed = models(entry("m", {"image_url": {}, "model": {}, "seeds": {}, "speeds": {}}))
    assert messages(listed, Modality.IMAGE, **{name: "x"}) == [
        f"? Unknown parameter {name!r} for m (not in the model's description; it may be ignored)"
    ]


def test_a_description_of_a_few_parameters_is_not_complete() -> None:
    schema = {"input_schema": {"properties": SIZE}}
    listed = models({"id": "m", "category": "image", "parameters": schema})
    assert messages(listed, sizzle="big", prompt="a fox") == []
    assert messages(listed, sizes="1:1") == ["Unknown parameter 'sizes' for m (did you mean 'size'?)"]


def test_an_open_description_refuses_no_name() -> None:
    listed = models(entry("m", ALL, additionalProperties=True))
    assert messages(listed, sizzle="big") == []
    assert messages(listed, promt="a fox") == ["? Unknown parameter 'promt' for m (did you mean 'prompt'?)"]
    assert messages(listed, n=5) == ["Invalid n for m: 5 (allowed: 1 to 4)"]


RECORDED: dict[str, Any] = {
    "additionalProperties": True,
    "anyOf": [{"required": ["prompt"]}, {"required": ["messages"]}],
    "properties": {
        "image_urls": {"items": {"type": "string"}, "minItems": 1, "type": "array"},
        "model": {"const": "gpt-image-2.5-flare", "type": "string"},
        "n": {"default": 1, "minimum": 1, "type": "integer"},
        "prompt": {"minLength": 1, "type": "string"},
        "size": {"type": "string"},
    },
}


@pytest.mark.parametrize("payload", [{"n": 99}, {"size": "17:9"}, {"image_urls": urls(99)}, {"style": "x"}])
def test_the_generic_schema_of_the_live_service_refuses_nothing(payload: dict[str, Any]) -> None:
    listed = models({"id": "m", "category": "image", "parameters": {"input_schema": RECORDED}})
    assert messages(listed, prompt="a fox", **payload) == []


@settings(max_examples=300)
@given(data=st.data())
def test_any_description_and_any_request_are_judged(data: st.DataObject) -> None:
    """An odd description restricts nothing that can't be read; it never raises."""
    path = data.draw(st.sampled_from([path for path in places(MODELS["data"][0]) if path != ("id",)]))
    listed = models(replaced(MODELS["data"][0], path, data.draw(trees)), entry("other"))
    names = st.sampled_from(["duration", "seed", "image_urls", "durration", "webhook", "\ud800", ""]) | st.text(
        max_size=9
    )
    payload = data.draw(st.dictionaries(names, trees, max_size=5))
    for model in ("kling-v3", "kling-v4", "other"):
        for message in messages(listed, Modality.VIDEO, **{**payload, "model": model}):
            assert "\n" not in message
            assert len(message) < 1_000
