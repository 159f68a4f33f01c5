"""Names by template: whatever the values hold, a name stays inside and means itself."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.results.storage.file_names import FileNames, alternatives, safe_value

EVIL = [
    "../../etc/passwd", "..", ".", "/", "\\", "..\\..\\x", "C:\\x", "\\\\host\\share", "~/.ssh", "a/b", "a\x00b",
    "a\nb", "", "%2e%2e%2f", "x\u0000", "-rf",
    ".hidden", "CON", "nul", "com1", "LPT9.txt", "aux.", "x ", " x", "x.", "*", "?", "[a]", "{x}", "$(id)", "`id`",
    "\u202egnp.exe", "\uff0f\uff0e\uff0e", "\u2025\u2024", "a" * 5000, "\U0001f600" * 300, "\ud800",
]  # fmt: skip


def is_safe(name: str) -> bool:
    parts = name.split("/")
    return all(
        part
        and not part.startswith(".")
        and not part.endswith((".", " "))
        and len(part.encode()) <= 240
        and PurePosixPath(part).stem.lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
        and all(unicodedata.category(letter)[0] in "LMN" or letter in " _-+=@,.()" for letter in part)
        for part in parts
    )


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("template", ["{generation_id}", "{generation_id}_{index}", "x/{id}/{model}{generation_id}"])
def test_no_value_leaves_its_place(value: str, template: str) -> None:
    name = FileNames(template).stem({"generation_id": value, "id": value, "model": value, "index": 0})
    assert is_safe(name), name
    assert name.count("/") == template.count("/")


def strange_text() -> st.SearchStrategy[str]:
    return st.text() | st.text(alphabet="a. /_\\-CON\u00e9e\u0301", max_size=4)


@given(strange_text(), strange_text())
def test_any_two_values_make_safe_names_that_differ(one: str, other: str) -> None:
    names = [FileNames("{id}").stem({"id": value}) for value in (one, other)]
    assert all(map(is_safe, names))
    assert (names[0] == names[1]) == (one == other)


@given(strange_text(), strange_text(), strange_text(), strange_text())
def test_values_next_to_one_another_make_names_of_one_form(one: str, two: str, three: str, four: str) -> None:
    """Some file systems take two spellings of an accented letter for one name."""
    names = [FileNames("{id}{model}").stem({"id": id_, "model": model}) for id_, model in ((one, two), (three, four))]
    assert all(unicodedata.is_normalized("NFC", name) for name in names)


@pytest.mark.parametrize("value", ["task_01M8", "a b", "кот", "猫", "हिन्दी", "x.1-2+3=4@5,(6)"])
def test_a_plain_value_stays_as_it_is(value: str) -> None:
    assert safe_value(value) == value


def test_a_template_may_make_folders_and_write_numbers() -> None:
    values = {"ds": "2026-11-22", "index": 7, "model": None}
    assert FileNames("{ds}/{index:03d} of {model}").stem(values) == "2026-11-22/007 of unknown"


def test_reserved_names_are_no_names() -> None:
    assert FileNames("{id}").stem({"id": "con"}).startswith("con-")
    assert FileNames("nu{id}.{index}").stem({"id": "l", "index": 1}).startswith("_nul.1-")
    assert FileNames("{id}").stem({"id": "con .x"}).startswith("_con .x-")
    assert FileNames("{id}").stem({"id": "console"}) == "console"


def test_an_accent_at_the_seam_of_two_values_leads_to_another_name() -> None:
    names = {
        FileNames("{id}{model}").stem({"id": id_, "model": model}) for id_, model in (("e", "\u0301x"), ("é", "x"))
    }
    assert len({unicodedata.normalize("NFC", name) for name in names}) == 2


@pytest.mark.parametrize(
    "template",
    [
        "", "/", "/x", "x/", "x//y", ".", "..", "../x", "x/../y", "x/./y", ".x", "x/.y/z", "\\x", "a\\b", "a\nb", "C:x",
        "{", "}", "{}", "{0}", "{nope}", "{generation_id.x}", "{index!r}", "{index:{id}}", "*", "~\x00",
    ],
)  # fmt: skip
def test_a_template_that_cannot_name_files_is_refused(template: str) -> None:
    with pytest.raises(ApimartInvalidRequestError, match="Nothing was sent or fetched"):
        FileNames(template)


@pytest.mark.parametrize("template", [None, 5, b"x", ["{id}"]])
def test_a_template_that_is_no_text_is_refused(template: Any) -> None:
    with pytest.raises(ApimartInvalidRequestError, match=r"not a text\. Nothing was sent or fetched"):
        FileNames(template)
    assert FileNames(PurePosixPath("{ds}", "{id}")).stem({"ds": "2026-11-26", "id": 1}) == "2026-11-26/1"


def test_an_unknown_field_is_reported_with_the_known_ones() -> None:
    with pytest.raises(ApimartInvalidRequestError, match=r"\{prompt\} is no field; the fields are generation_id, "):
        FileNames("{prompt}")


def test_a_number_cannot_be_written_as_a_word() -> None:
    with pytest.raises(ApimartInvalidRequestError, match="is invalid"):
        FileNames("{index:x^z}").stem({"index": 1})


@pytest.mark.parametrize(
    "form", ["121", "999999999", "0999999999d", ".999999999f", "\u0661\u0662\u0661", "9" * 9999, "x>500"]
)
def test_a_format_without_bound_is_refused_before_it_is_used(form: str) -> None:
    with pytest.raises(ApimartInvalidRequestError, match=r"the format of \{index\} is wider than 120 characters"):
        FileNames(f"{{index:{form}}}")


@given(st.integers(1, 120), st.integers(0, 10_000))
def test_a_format_within_the_bound_makes_a_safe_name(width: int, index: int) -> None:
    name = FileNames(f"{{index:0{width}d}}").stem({"index": index})
    assert is_safe(name)
    assert name == f"{index:0{width}d}"


def test_a_name_that_was_cut_keeps_a_digest() -> None:
    names = FileNames("{dag_id}_{task_id}_{run_id}_{id}_{index}")
    run = {name: name[0] * 60 for name in ("dag_id", "task_id", "run_id")}
    stems = {names.stem({**run, "id": f"item-{'x' * 60}-{number}", "index": 0}) for number in range(5)}
    assert len(stems) == 5
    assert all(map(is_safe, stems))


def test_the_alternatives_of_a_name_are_its_own_and_safe() -> None:
    for stem in ("x", "a/b", "a/" + "y" * 230, "é" * 115):
        mine, others = list(alternatives(stem, "one")), list(alternatives(stem, "other"))
        assert mine[0] == others[0] == stem
        assert len({*mine, *others}) == 5
        assert all(map(is_safe, mine))
        assert all(each.count("/") == stem.count("/") for each in mine)
