"""Files as references in a real Airflow: templated, mapped, deferred, changed and missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.lab import AirflowLab
from tests.lab.references import PNG, write_references


@pytest.mark.parametrize("mode", ["waiting", "deferred"])
def test_files_named_as_text_and_as_object_are_uploaded_and_sent(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, mode: str
) -> None:
    run = lab.start_run(f"lab_references_{mode}", write_references(tmp_path))
    run.drive(sandbox.connection_json())
    assert run.view("generate").state == "success"
    first, same, other = sandbox.generations[0].payload["image_urls"]
    assert first == same["url"] != other
    assert (sandbox.billed, sandbox.uploaded) == (1, 2)


def test_a_mapped_task_uploads_once_an_instance(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path) -> None:
    run = lab.start_run("lab_references_mapped", write_references(tmp_path))
    run.drive(sandbox.connection_json())
    assert {view.state for view in run.views()} == {"success"}
    assert (sandbox.billed, sandbox.uploaded) == (2, 4)


def test_a_missing_file_skips_the_retries_before_anything_is_uploaded(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path
) -> None:
    conf = write_references(tmp_path)
    Path(conf["other"]).unlink()
    run = lab.start_run("lab_references_waiting", conf)
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert (view.state, view.try_number) == ("failed", 1)
    assert f"image_urls[2]: there is no image at {Path(conf['other']).as_uri()}" in run.log
    assert sandbox.requests == ()


def test_a_changed_content_makes_a_new_generation_and_names_the_one_left_behind(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path
) -> None:
    conf = write_references(tmp_path)
    run = lab.start_run("lab_references_waiting", conf)
    assert not run.drive(sandbox.connection_json(), crash="id written")
    run.recover()
    Path(conf["other"]).write_bytes(PNG + b"a dog")
    run.drive(sandbox.connection_json())
    left_behind, made = sandbox.generations
    assert run.view("generate").returned["generation_id"] == made.generation_id
    assert f"Generation {left_behind.generation_id} is left behind" in run.log
    assert sandbox.uploaded == 3


@pytest.mark.parametrize("point", ["upload sent", "upload registered", "record written", "POST sent", "id written"])
def test_uploads_are_recorded_in_files_too(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path, point: str) -> None:
    """As below Airflow 3.3: a retry sends the identical request, with the URLs of the uploads that were made before."""
    run = lab.start_run("lab_references_waiting", write_references(tmp_path))
    assert not run.drive(sandbox.connection_json(), crash=point, without_store=True)
    run.recover()
    run.drive(sandbox.connection_json(), without_store=True)
    assert run.view("generate").state == "success"
    # Nobody knows of an upload whose process died before its URL was recorded.
    assert (sandbox.billed, sandbox.uploaded) == (1, 3 if point == "upload sent" else 2)
