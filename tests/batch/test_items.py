from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.batch.items import BatchItem, Shared, parse_lines, parse_rendered, read_items
from airflow_provider_apimart.batch.request_file import read_request_file
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


def shared(parameters: dict[str, Any] | None = None, **arguments: Any) -> Shared:
    return Shared("apimart_default", Modality.IMAGE, {"model": "m", **arguments}, parameters)


def payload(item: dict[str, Any], common: Shared | None = None) -> dict[str, Any]:
    return dict(read_items([item], common or shared())[0].request.payload)


def refusal(written: list[object], common: Shared | None = None) -> str:
    with pytest.raises(ApimartInvalidRequestError) as caught:
        read_items(written, common or shared())
    return caught.value.message


def test_all_bad_items_are_reported_together_by_id_and_reason() -> None:
    said = refusal(
        [
            {"id": "good", "prompt": "a cat"},
            {"id": "empty", "prompt": "  "},
            "only text",
            {"id": "number", "prompt": "a cat", "n": "two"},
            {"prompt": "a cat", "modality": "sculpture"},
            {"id": "list", "prompt": "a cat", "parameters": ["seed"]},
        ]
    )
    assert said.startswith("5 invalid items. Nothing was sent:")
    listed = said.splitlines()[1:]
    expected = [
        ("Item 'empty'", "has an empty prompt"),
        ("Item 2", "is str, not an object"),
        ("Item 'number'", "n must be a number"),
        ("Item 4", "has the modality 'sculpture'"),
        ("Item 'list'", "parameters must be a mapping from names to values, not list"),
    ]
    assert len(listed) == len(expected)
    for line, (name, reason) in zip(listed, expected, strict=True):
        assert name in line
        assert reason in line
    assert "good" not in said


def test_the_report_of_thousands_of_bad_items_stays_readable() -> None:
    said = refusal([None] * 5000)
    assert said.startswith("5,000 invalid items")
    assert said.endswith("... and 4,900 more")
    assert len(said) < 20_000


@pytest.mark.parametrize(
    ("written", "second"),
    [
        ([{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}], "Item 'a'"),
        ([{"id": 7, "prompt": "x"}, {"id": "7", "prompt": "y"}], "Item '7'"),
        ([{"id": " a ", "prompt": "x"}, {"id": "a", "prompt": "y"}], "Item 'a'"),
        ([{"id": "1", "prompt": "x"}, {"prompt": "y"}], "Item 1"),
    ],
)
def test_duplicate_ids_are_refused(written: list[object], second: str) -> None:
    assert f"{second} has the same id as the item at position 0" in refusal(written)


@pytest.mark.parametrize("bad", ["", "  ", True, False, 1.5, [], {}, "a\nb", "a\x00", "x" * 201, "\ud800"])
def test_an_id_is_short_printable_text_or_a_whole_number(bad: object) -> None:
    assert "has the id" in refusal([{"id": bad, "prompt": "x"}])


def test_an_item_without_id_is_called_by_its_position() -> None:
    items = read_items([{"prompt": "x"}, {"id": None, "prompt": "y"}, {"id": 12, "prompt": "z"}], shared())
    assert [(item.id, item.position, item.prompt) for item in items] == [("0", 0, "x"), ("1", 1, "y"), ("12", 2, "z")]


def test_what_an_item_says_goes_before_what_is_shared() -> None:
    common = shared(size="1:1", prompt="a cat", parameters={"seed": 1, "quality": "low"})
    assert payload({}, common) == {"model": "m", "prompt": "a cat", "size": "1:1", "seed": 1, "quality": "low"}
    own = {"model": "own", "prompt": "a dog", "size": "16:9", "parameters": {"seed": 2}}
    assert payload(own, common) == {"model": "own", "prompt": "a dog", "size": "16:9", "seed": 2, "quality": "low"}


def test_fields_and_parameters_replace_each_other_across_levels() -> None:
    common = shared(size="1:1", parameters={"seed": 1})
    assert payload({"prompt": "x", "seed": 2}, common)["seed"] == 2
    assert payload({"prompt": "x", "parameters": {"size": "9:16"}}, common)["size"] == "9:16"
    assert "seed given both" in refusal([{"prompt": "x", "seed": 2, "parameters": {"seed": 3}}], common)


def test_an_item_leaves_a_shared_argument_out_with_none() -> None:
    assert "size" not in payload({"prompt": "x", "size": None}, shared(size="1:1"))


def test_an_item_may_have_its_own_modality() -> None:
    items = read_items([{"prompt": "x"}, {"prompt": "x", "modality": "video"}], shared())
    assert [item.request.modality for item in items] == [Modality.IMAGE, Modality.VIDEO]


def test_one_reference_may_be_written_without_a_list() -> None:
    url = "https://example.org/a.png"
    assert payload({"prompt": "x", "image_urls": url})["image_urls"] == [url]
    assert payload({"prompt": "x"}, shared(image_urls=url))["image_urls"] == [url]


@pytest.mark.parametrize(
    "item",
    [
        {1: "one", "prompt": "x"},
        {"prompt": "half a character: \ud800"},
        {"prompt": "x", "metadata": {"deep": [float("nan")]}},
        {"prompt": "x", "metadata": {"set": {1}}},
        {"prompt": "x", "modality": ["image"]},
        {"prompt": "x", "modality": {"image": 1}},
        {"prompt": "x", "model": ""},
        {"prompt": "x", "image_urls": ["no URL"]},
        {"prompt": ["x"]},
        {"prompt": "x", "parameters": {1: 2}},
        [],
        None,
        3,
        b"bytes",
    ],
)
def test_no_item_is_odd_enough_to_raise_anything_else(item: object) -> None:
    assert "1 invalid item." in refusal([{"prompt": "good", "id": "good"}, item])


def test_lines_that_are_no_json_are_reported_by_line() -> None:
    text = '{"prompt": "x"}\n\nnot json\n  \n{"prompt": "y"\n[1]\n'
    said = refusal(list(parse_lines(text)))
    assert "3 invalid items" in said
    assert "(line 3) is not JSON" in said
    assert "(line 5) is not JSON" in said
    assert "is list, not an object" in said


def test_a_line_ends_at_a_line_feed_only() -> None:
    """Other separators of lines may be inside of a JSON string."""
    prompt = "one\u2028two\u0085three\x0bfour".replace("\x0b", "\u2029")
    text = json.dumps({"prompt": prompt}, ensure_ascii=False) + "\r\n" + json.dumps({"prompt": "next"})
    assert [each["prompt"] for each in parse_lines(text)] == [prompt, "next"]  # type: ignore[index]  # objects


def test_json_nested_without_end_is_reported() -> None:
    assert "is not JSON" in refusal(list(parse_lines("[" * 200_000)))


def test_a_rendered_list_is_read_as_json_or_python() -> None:
    assert parse_rendered(' [{"prompt": "x", "n": null}]') == [{"prompt": "x", "n": None}]
    assert parse_rendered("[{'prompt': 'x', 'n': None}]") == [{"prompt": "x", "n": None}]
    assert parse_rendered("[]") == []
    for text in ("s3://bucket/requests.jsonl", "/data/[1].jsonl", "[not a list", "", "{}"):
        assert parse_rendered(text) is None


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Any) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"prompt": "x"}\n')
    assert list(read_request_file(file.as_uri())) == [{"prompt": "x"}]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Any, content: bytes | None) -> None:
    file = tmp_path / "requests.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ApimartInvalidRequestError, match=r"requests\.jsonl cannot be read.*Nothing was sent"):
        list(read_request_file(str(file)))


def test_ten_thousand_items_are_read() -> None:
    items: list[BatchItem] = read_items(({"prompt": f"{number}"} for number in range(10_000)), shared())
    assert len({item.request.fingerprint for item in items}) == 10_000
