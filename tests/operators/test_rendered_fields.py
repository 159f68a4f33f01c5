"""Rendering of every operator's templates: text stays text, nothing is never a value, and only paths name files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import (
    ApimartImageGenerationOperator,
    ApimartMusicGenerationOperator,
    ApimartVideoGenerationOperator,
)
from airflow_provider_apimart.operators.upload import ApimartUploadImageOperator
from airflow_provider_apimart.rendering import RendersText
from airflow_provider_apimart.sandbox import Sandbox
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator
from tests.batch.bare import task_context

try:
    from airflow.sdk.definitions.template import literal
except ImportError:  # Airflow 2
    from airflow.utils.template import literal  # type: ignore[import-not-found,no-redef]  # the same function

NOTHING: tuple[Any, ...] = (None, "None", "null", "", " ", "nan", float("nan"), "NaT", "<NA>")
REQUIRED: dict[type[RendersText], dict[str, Any]] = {
    ApimartImageGenerationOperator: {"model": "m", "prompt": "p", "destination": "/tmp/x"},
    ApimartVideoGenerationOperator: {"model": "m", "prompt": "p", "destination": "/tmp/x"},
    ApimartMusicGenerationOperator: {"model": "m", "prompt": "p", "destination": "/tmp/x"},
    ApimartBatchGenerationOperator: {"model": "m", "requests": [{"prompt": "p"}], "destination": "/tmp/x"},
    ApimartUploadImageOperator: {"image": "/tmp/x.png"},
    ApimartToObjectStorageOperator: {"generation": "task_1", "destination": "/tmp/x"},
}
FIELDS = [
    (operator, field)
    for operator in REQUIRED
    for field in operator.template_fields
    if field not in operator.optional_fields
]


def rendered(
    operator: type[RendersText],
    values: Mapping[str, Any],
    folder: Path | None = None,
    *,
    arguments: Mapping[str, Any],
    native: bool = False,
) -> Any:
    """Return an operator whose templates Airflow has rendered, with the values by their names."""
    with DAG(
        "d",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        render_template_as_native_obj=native,
        template_searchpath=[str(folder)] if folder else None,
    ):
        task = operator(task_id="generate", **{**REQUIRED[operator], **arguments})
    # As Airflow does when the DAG is parsed.
    task.resolve_template_files()
    task.render_template_fields({**task_context(), **values})  # type: ignore[typeddict-item]  # names of the test
    return task


def image(
    values: Mapping[str, Any], folder: Path | None = None, *, native: bool = False, **arguments: Any
) -> dict[str, Any]:
    """Return the request that an image operator would send."""
    payload: dict[str, Any] = rendered(
        ApimartImageGenerationOperator, values, folder, arguments=arguments, native=native
    ).payload()
    return payload


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(("operator", "field"), FIELDS)
def test_the_text_of_nothing_is_refused_in_every_field(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, operator: type[RendersText], field: str, native: bool
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    task = rendered(operator, {"it": "None"}, native=native, arguments={field: "{{ it }}"})
    if native and getattr(task, field) is None:
        # A native None in a field that may be absent.
        return
    with pytest.raises(ApimartInvalidRequestError, match=rf"{field} rendered to 'None'"):
        task.execute(task_context())
    assert sandbox.requests == ()


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("operator", "field"),
    [
        (ApimartImageGenerationOperator, "prompt"),
        (ApimartImageGenerationOperator, "negative_prompt"),
        (ApimartImageGenerationOperator, "model"),
        (ApimartBatchGenerationOperator, "requests"),
        (ApimartBatchGenerationOperator, "max_cost"),
        (ApimartBatchGenerationOperator, "destination"),
        (ApimartUploadImageOperator, "image"),
        (ApimartToObjectStorageOperator, "destination"),
        (ApimartToObjectStorageOperator, "filename"),
        (ApimartToObjectStorageOperator, "apimart_conn_id"),
    ],
)
def test_nothing_is_refused_where_it_would_mean_something_else(
    sandbox: Sandbox, operator: type[RendersText], field: str, native: bool, nothing: Any
) -> None:
    task = rendered(operator, {"it": nothing}, native=native, arguments={field: "{{ it }}"})
    with pytest.raises(ApimartInvalidRequestError, match=rf"{field} rendered to "):
        task.execute(task_context())
    assert sandbox.requests == ()


@pytest.mark.parametrize("nothing", [None, float("nan"), [], {}, [None], {"a": None}, [[float("nan")]]])
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "destination", "filename", "key"])
def test_nothing_within_a_text_is_refused(field: str, native: bool, nothing: Any) -> None:
    task = rendered(
        ApimartImageGenerationOperator, {"it": nothing}, native=native, arguments={field: "/photo of {{ it }}"}
    )
    with pytest.raises(ApimartInvalidRequestError, match=rf"{field} rendered to "):
        task.payload()


@pytest.mark.parametrize("native", [False, True])
def test_what_a_template_leaves_out_or_replaces_is_no_missing_value(native: bool) -> None:
    prompt = "a {{ it or 'red' }} cat{% if it %} with {{ it }}{% endif %}{{ '' }}, none of {{ 'nan' }}{{ 0 }}"
    assert image({"it": None}, native=native, prompt=prompt)["prompt"] == "a red cat, none of nan0"


@pytest.mark.parametrize("field", ["image_urls", "mask_url"])
def test_a_reference_that_is_missing_is_no_request_without_it(field: str) -> None:
    """It would be paid for, and show something else."""
    with pytest.raises(ApimartInvalidRequestError, match=rf"{field} rendered to None"):
        rendered(ApimartImageGenerationOperator, {"it": None}, native=True, arguments={field: "{{ it }}"}).payload()
    assert image({"it": []}, native=True, image_urls="{{ it }}")["image_urls"] == []


@pytest.mark.parametrize("field", ["caption", "negative_prompt"])
def test_nothing_within_parameters_is_refused_by_name(field: str) -> None:
    with pytest.raises(ApimartInvalidRequestError, match=rf"{field} .*rendered to 'None'"):
        image({"it": None}, parameters={"outer": [{field: "{{ it }}"}]})


@pytest.mark.parametrize("native", [False, True])
def test_nothing_written_or_rendered_natively_in_an_optional_field_is_absent(native: bool) -> None:
    assert image({}, native=native, size=None, seed=None) == {"model": "m", "prompt": "p"}
    assert image({"it": None}, native=True, size="{{ it }}", seed="{{ it }}") == {"model": "m", "prompt": "p"}


def test_a_skipped_entry_of_generations_is_for_the_transfer_to_decide() -> None:
    task = rendered(
        ApimartToObjectStorageOperator, {"a": "task_1", "b": None}, arguments={"generation": ["{{ a }}", "{{ b }}"]}
    )
    task.check_rendered()
    assert task.generation == ["task_1", "None"]


@pytest.mark.parametrize("value", ["no one", "Noneset", "a nan bread", "None of these", "nullify"])
def test_a_text_that_only_holds_such_a_word_is_sent(value: str) -> None:
    assert image({"it": value}, prompt="{{ it }}")["prompt"] == value


@pytest.mark.parametrize(
    "prompt",
    [
        "1984",
        "007",
        "1e3",
        "True",
        "[1, 2]",
        '{"scene": "fox"}',
        "{'scene': 'fox'}",
        "('a', 'b')",
        "'quoted'",
        "1_000",
        "a # b",
    ],
)
@pytest.mark.parametrize("written", ["{{ it }}", "literally"])
def test_a_prompt_stays_the_text_that_was_written(prompt: str, written: str) -> None:
    prompt_argument = "{{ it }}" if written == "{{ it }}" else prompt
    for native in (False, True):
        assert image({"it": prompt}, native=native, prompt=prompt_argument)["prompt"] == prompt


@given(st.text(min_size=1).filter(lambda text: text.strip() and "{" not in text))
def test_native_rendering_changes_no_prompt(prompt: str) -> None:
    from airflow_provider_apimart.api.rendered_values import is_nothing

    if not is_nothing(prompt):
        assert image({"it": prompt}, native=True, prompt="{{ it }}")["prompt"] == prompt


@pytest.mark.parametrize("native", [False, True])
def test_an_object_is_sent_as_json_and_a_number_as_text(native: bool) -> None:
    scene = {"scene": "fox", "lights": ["low"]}
    if native:
        assert image({"it": scene}, native=native, prompt="{{ it }}")["prompt"] == '{"scene": "fox", "lights": ["low"]}'
    assert image({"it": scene}, native=native, prompt="{{ it | tojson }}")["prompt"] == (
        '{"lights": ["low"], "scene": "fox"}'
    )
    assert image({"it": 1984}, native=native, prompt="{{ it }}")["prompt"] == "1984"
    assert image({"it": 4}, native=native, n="{{ it }}")["n"] == 4
    assert image({"it": "16:9"}, native=native, size="{{ it }}")["size"] == "16:9"


@pytest.mark.parametrize("native", [False, True])
def test_lists_and_objects_are_both_taken(native: bool) -> None:
    urls, parameters = ["https://a.example/1.png", "https://a.example/2.png"], {"style": {"name": "ink"}, "seed": 7}
    payload = image(
        {"urls": urls, "given": parameters}, native=native, image_urls="{{ urls }}", parameters="{{ given }}"
    )
    assert payload == {"model": "m", "prompt": "p", "image_urls": urls, **parameters}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "text",
    ["what does the file README.md say", "see LICENSE.md", "no notes.txt", "missing.md", "../up.md", "/etc/none.txt"],
)
def test_a_text_that_ends_like_a_file_is_sent(tmp_path: Path, text: str, native: bool) -> None:
    for name in ("README.md", "LICENSE.md", "notes.txt"):
        (tmp_path / name).write_text("the file's content")
    payload = image(
        {}, tmp_path, native=native, prompt=text, negative_prompt=text, parameters={"caption": text, "tags": [text]}
    )
    assert {payload["prompt"], payload["negative_prompt"], payload["caption"], *payload["tags"]} == {text}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", ["cat.txt", "prompts/cat.md"])
def test_a_whole_value_that_is_a_template_file_is_its_content(tmp_path: Path, name: str, native: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("A {{ colour }} cat")
    payload = image({"colour": "red"}, tmp_path, native=native, prompt=name, negative_prompt=name)
    assert (payload["prompt"], payload["negative_prompt"]) == ("A red cat", "A red cat")
    escaped = image({"colour": "red"}, tmp_path, native=native, prompt=literal(name), parameters={"caption": name})
    assert (escaped["prompt"], escaped["caption"]) == (name, name)


def test_the_content_of_a_file_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "outer.txt").write_text("inner.txt")
    (tmp_path / "inner.txt").write_text("the inner file's content")
    assert image({}, tmp_path, prompt="outer.txt")["prompt"] == "inner.txt"


def test_a_rendered_text_is_no_path(tmp_path: Path) -> None:
    """A prompt from outside cannot read a file of the DAG's folder."""
    (tmp_path / "secret.txt").write_text("the file's content")
    assert image({"it": "secret.txt"}, tmp_path, prompt="{{ it }}")["prompt"] == "secret.txt"
