from __future__ import annotations

import base64
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import pytest

from airflow_provider_apimart.api.payload import build_payload
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

URL = "https://upload.apimart.ai/f/image/1-photo.jpg"
BASE64 = base64.b64encode(bytes(range(256))).decode()
GIVEN = {"model": "m", "prompt": "a fox"}


def refused(arguments: dict[str, Any], parameters: Any = None) -> str:
    with pytest.raises(ApimartInvalidRequestError) as raised:
        build_payload(arguments, parameters)
    message = str(raised.value)
    assert "Nothing was sent" in message
    return message


def test_arguments_and_parameters_make_the_body() -> None:
    payload = build_payload(
        {**GIVEN, "size": None, "n": 2}, {"style": {"a": [1, 2.5, None, True]}, "negative_prompt": ""}
    )
    assert payload == {
        "model": "m",
        "prompt": "a fox",
        "n": 2,
        "style": {"a": [1, 2.5, None, True]},
        "negative_prompt": "",
    }


def test_a_none_in_parameters_is_passed_on() -> None:
    assert build_payload(GIVEN, {"size": None})["size"] is None


@pytest.mark.parametrize("name", ["n", "duration", "seed"])
@pytest.mark.parametrize(
    ("written", "number"), [("4", 4), (" 5 ", 5), ("-1", -1), ("2.5", 2.5), ("0", 0), (7, 7), (1.5, 1.5)]
)
@pytest.mark.parametrize("place", ["argument", "parameter"])
def test_a_rendered_number_becomes_a_number(name: str, written: object, number: float, place: str) -> None:
    given = {name: written}
    payload = build_payload({**GIVEN, **given}, None) if place == "argument" else build_payload(GIVEN, given)
    assert payload[name] == number
    assert type(payload[name]) is type(number)


@pytest.mark.parametrize("written", ["four", "1e3", "0x10", "1,5", "NaN", "1_000", "{{ n }}", "٣", "007"])
@pytest.mark.parametrize("name", ["n", "duration", "seed"])
def test_a_text_that_is_no_number_is_refused_by_name(name: str, written: str) -> None:
    assert name in refused({**GIVEN, name: written})


def test_other_fields_stay_text() -> None:
    payload = build_payload({**GIVEN, "size": "16"}, {"quality": "2", "version": "6", "style": {"n": "1"}})
    assert (payload["size"], payload["quality"], payload["version"], payload["style"]) == ("16", "2", "6", {"n": "1"})


@pytest.mark.parametrize("model", [None, "", "  ", 5, ["m"]])
def test_no_model_is_refused(model: object) -> None:
    assert "model" in refused({"model": model, "prompt": "a fox"})


@pytest.mark.parametrize("prompt", ["", "  \n", True, ["a"]])
def test_an_empty_prompt_is_refused(prompt: object) -> None:
    assert "prompt" in refused({"model": "m", "prompt": prompt, "image_urls": [URL]})


@pytest.mark.parametrize(
    "beside", [{}, {"size": "1:1"}, {"n": 2, "seed": 5, "resolution": "2K"}, {"duration": "5", "aspect_ratio": "16:9"}]
)
def test_no_prompt_and_nothing_else_to_work_from_is_refused(beside: dict[str, Any]) -> None:
    assert "prompt" in refused({"model": "m", **beside})


@pytest.mark.parametrize("beside", [{"image_urls": [URL]}, {"mask_url": URL}, {"task_id": "task_1"}, {"messages": []}])
def test_a_model_that_needs_no_prompt_goes_through(beside: dict[str, Any]) -> None:
    assert build_payload({"model": "m"}, beside) == {"model": "m", **beside}


def test_a_key_given_twice_is_refused_by_name() -> None:
    message = refused({**GIVEN, "size": "1:1"}, {"size": "1:1", "prompt": "x", "style": "y"})
    assert "prompt, size" in message


def test_an_argument_left_out_may_be_in_parameters() -> None:
    assert build_payload({**GIVEN, "size": None}, {"size": "1:1"})["size"] == "1:1"


@pytest.mark.parametrize("parameters", [[], "x", 5, {1: "x"}, [("a", 1)]])
def test_parameters_that_are_no_mapping_are_refused(parameters: object) -> None:
    assert "parameters" in refused(GIVEN, parameters)


NO_URL = {
    "data URL": ("data:image/png;base64,iVBORw0KGgo=", "data: URL"),
    "DATA URL": ("DATA:image/png;base64,iVBORw0KGgo=", "data: URL"),
    "base64": (BASE64, "base64"),
    "file": ("file:///tmp/fox.png", "file://"),
    "s3": ("s3://bucket/fox.png", "s3://"),
    "local path": ("/data/fox.png", "/data/fox.png"),
    "relative path": ("fox.png", "fox.png"),
    "Windows path": ("C:\\fox.png", "fox.png"),
    "empty": ("", "empty"),
    "no host": ("https://", "https://"),
    "unrendered": ("{{ x }}", "{{ x }}"),
}
PLACES: dict[str, Any] = {
    "image_urls[0]": lambda url: {"image_urls": [url]},
    "image_urls[1]": lambda url: {"image_urls": [URL, url]},
    "image_urls[0].url": lambda url: {"image_urls": [{"url": url}]},
    "image_with_roles[1].url": lambda url: {"image_with_roles": [{"url": URL, "role": "a"}, {"url": url, "role": "b"}]},
    "mask_url": lambda url: {"mask_url": url},
    "url": lambda url: {"url": url},
    "video_urls[0]": lambda url: {"video_urls": [url]},
    "first_frame_url": lambda url: {"first_frame_url": url},
    "extra.audio.url": lambda url: {"extra": {"audio": {"url": url}}},
    "image_urls": lambda url: {"image_urls": url},
}


@pytest.mark.parametrize("what", NO_URL)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_public_url_is_refused_in_every_place(place: str, what: str) -> None:
    url, described = NO_URL[what]
    message = refused(GIVEN, PLACES[place](url))
    assert f"{place} holds" in message
    assert described in message
    assert "ApimartUploadImageOperator" in message
    assert len(message) < 500


@pytest.mark.parametrize("url", [5, True, [["x"]], 1.5])
def test_a_reference_of_another_type_is_refused(url: object) -> None:
    assert "image_urls[0]" in refused(GIVEN, {"image_urls": [url]})


def test_a_reference_that_a_task_did_not_give_is_refused() -> None:
    assert "image_urls[0] is None" in refused(GIVEN, {"image_urls": [None]})


@pytest.mark.parametrize(
    "value", [[URL, "HTTP://cdn.example/a b.png"], [{"url": URL}], [{"url": URL, "weight": 0.5}], [], None, URL]
)
def test_references_pass_unchanged(value: object) -> None:
    assert build_payload(GIVEN, {"image_urls": value})["image_urls"] == value


def test_roles_pass_unchanged() -> None:
    roles = [{"url": URL, "role": "first_frame"}, {"url": URL, "role": "last_frame", "new": {"deep": [1]}}]
    assert build_payload(GIVEN, {"image_with_roles": roles})["image_with_roles"] == roles


def test_texts_that_only_look_like_references_pass() -> None:
    fields = {
        "style": "/noir",
        "curls": "many",
        "image": "fox",
        "webhook": "https://my.host",
        "metadata": {"path": "/a"},
    }
    assert build_payload({**GIVEN, "negative_prompt": "data: none"}, fields) == {
        **GIVEN,
        "negative_prompt": "data: none",
        **fields,
    }


class Lazy(Sequence[str]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return [URL, URL][index]


@pytest.mark.parametrize("value", [(URL, URL), Lazy(), [URL, URL]])
def test_what_came_through_xcom_becomes_plain_json(value: object) -> None:
    payload = build_payload({**GIVEN, "image_urls": value}, {"style": MappingProxyType({"a": (1,)})})
    assert payload["image_urls"] == [URL, URL]
    assert (type(payload["image_urls"]), payload["style"]) == (list, {"a": [1]})


@pytest.mark.parametrize("value", [b"x", object(), [float("nan")], float("inf"), {"a": [b"x"]}, [bytearray(b"x")]])
def test_what_is_no_json_is_refused_by_its_place(value: object) -> None:
    assert "style" in refused(GIVEN, {"style": value})


def test_the_given_mapping_is_left_alone() -> None:
    parameters = {"n": "2", "image_urls": [URL]}
    build_payload(GIVEN, parameters)
    assert parameters == {"n": "2", "image_urls": [URL]}


def test_a_cycle_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    refused(GIVEN, {"style": cycle})
