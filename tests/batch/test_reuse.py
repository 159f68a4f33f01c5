"""Reuse by a batch, compared with what the sandbox billed."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.batch.bare import execute, task_context
from tests.results.hostile import picture

WEEK = timedelta(days=7)
MODEL = "gemini-2.5-flash-image-preview"
ITEMS = [{"id": f"i{number}", "prompt": f"a cat {number}"} for number in range(4)]


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configure a library."""
    monkeypatch.setenv("AIRFLOW__APIMART__LIBRARY_PATH", (tmp_path / "library").as_uri())
    return tmp_path / "library"


def night(
    folder: Path, requests: list[dict[str, Any]], *, run_id: str | None = None, max_tries: int = 0, **arguments: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run a batch of a run of its own, and return the lines of its ledger and its manifest."""
    context = task_context(max_tries=max_tries)
    context["run_id"] = context["ti"].run_id = run_id or folder.name
    given = {"model": MODEL, "poll_interval": 0.05, "reuse_within": WEEK, **arguments}
    operator = ApimartBatchGenerationOperator(
        task_id="generate", requests=requests, destination=folder.as_uri(), **given
    )
    execute(operator, context)
    manifest = context["ti"].pushed["manifest"]
    ledger = Path(manifest["ledger"].removeprefix("file://")).read_text()
    return [json.loads(line) for line in ledger.splitlines()], manifest


def assert_whole(lines: list[dict[str, Any]]) -> None:
    """Check that each item has its files, each with the recorded content."""
    for line in lines:
        assert line["files"], line
        for file in line["files"]:
            content = Path(file["uri"].removeprefix("file://")).read_bytes()
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (file["sha256"], file["bytes"])


def statuses(lines: list[dict[str, Any]]) -> list[str]:
    return [line["status"] for line in lines]


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_next_night_pays_for_what_is_new(sandbox: Sandbox, tmp_path: Path, deferrable: bool) -> None:
    before, _ = night(tmp_path / "1", ITEMS, deferrable=deferrable)
    paid = sandbox.dollars
    after, manifest = night(
        tmp_path / "2", [*ITEMS[1:], {"id": "new", "prompt": "a dog"}], deferrable=deferrable, filename="{ds}/{id}"
    )
    assert sandbox.billed == 5
    assert statuses(after) == ["reused"] * 3 + ["completed"]
    assert_whole(after)
    assert [path.name for path in sorted((tmp_path / "2" / "2026-01-01").iterdir())] == [
        "i1.png", "i2.png", "i3.png", "new.png",
    ]  # fmt: skip
    for old, new in zip(before[1:], after, strict=False):
        assert new["generation_id"] == new["reused"] == old["generation_id"]
        assert (new["cost"], new["saved_cost"]) == (0, old["cost"])
        assert [file["sha256"] for file in new["files"]] == [file["sha256"] for file in old["files"]]
    assert (manifest["reused"], manifest["completed"], manifest["files"]) == (3, 1, 4)
    assert manifest["saved_cost"] == pytest.approx(float(paid) * 3 / 4)
    assert manifest["cost"] == pytest.approx(float(paid) / 4)
    assert manifest["quote"]["items"] == 1


def test_without_reuse_within_everything_is_made_and_entered(sandbox: Sandbox, tmp_path: Path) -> None:
    night(tmp_path / "1", ITEMS, reuse_within=None)
    night(tmp_path / "2", ITEMS, reuse_within=None)
    assert sandbox.billed == 8
    night(tmp_path / "3", ITEMS)
    assert sandbox.billed == 8


def test_an_old_result_is_generated_again(sandbox: Sandbox, tmp_path: Path) -> None:
    night(tmp_path / "1", ITEMS[:1])
    lines, _ = night(tmp_path / "2", ITEMS[:1], reuse_within=0.001)
    assert statuses(lines) == ["completed"]


@pytest.mark.parametrize("dialect", ["current", "at_once"])
def test_a_retry_does_not_serve_one_twin_by_the_other(sandbox: Sandbox, tmp_path: Path, dialect: str) -> None:
    """Also where the first one's result came at once and without an id."""
    sandbox.configure(dialect=dialect)
    twins = [{"id": f"t{each}", "prompt": "a cat"} for each in range(2)]
    sandbox.inject(Fault("prompt_required", skip=1, times=1))
    with pytest.raises(errors.ApimartBatchRefusedError):
        night(tmp_path / "1", twins, max_in_flight=1)
    lines, _ = night(tmp_path / "1", twins, max_tries=1)
    assert statuses(lines) == ["completed"] * 2
    assert sandbox.billed == 2


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_of_a_miss_nothing_lies_under_tonights_names(sandbox: Sandbox, tmp_path: Path, changed: int) -> None:
    """One of its files has another content and the same size, which shows only when it is read."""
    three: dict[str, Any] = {"n": 3, "model": "gemini-3-pro-image-preview", "filename": "{id}_{index}"}
    before, _ = night(tmp_path / "1", ITEMS[:1], **three)
    file = Path(before[0]["files"][changed]["uri"].removeprefix("file://"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    after, _ = night(tmp_path / "2", ITEMS[:1], **three)
    assert statuses(after) == ["completed"]
    assert sorted(path.name for path in (tmp_path / "2").glob("*.png")) == ["i0_0.png", "i0_1.png", "i0_2.png"]
    assert_whole(after)


def test_the_same_request_twice_asks_for_two_pictures(sandbox: Sandbox, tmp_path: Path) -> None:
    def twins(number: int) -> list[dict[str, Any]]:
        return [{"id": f"t{each}", "prompt": "a cat"} for each in range(number)]

    first, _ = night(tmp_path / "1", twins(2))
    second, _ = night(tmp_path / "2", twins(3))
    assert statuses(second) == ["reused", "reused", "completed"]
    assert sandbox.billed == 3
    third, _ = night(tmp_path / "3", twins(3))
    made = sorted((line["completed"], line["generation_id"]) for line in [*first, second[2]])
    assert [line["generation_id"] for line in third] == [name for _, name in made]


def test_a_retry_gives_no_picture_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    """What an item of this batch has made isn't reused for its twin, which wasn't submitted."""
    twins = [{"id": "a", "prompt": "a cat"}, {"id": "b", "prompt": "a cat"}]
    sandbox.inject(Fault("insufficient_balance", on="submit", times=1, skip=1))
    with pytest.raises(errors.ApimartBalanceError):
        night(tmp_path / "1", twins, max_in_flight=1)
    assert sandbox.billed == 1
    lines, _ = night(tmp_path / "1", twins)
    assert statuses(lines) == ["completed"] * 2
    assert len({line["generation_id"] for line in lines}) == sandbox.billed == 2


def test_a_clear_of_a_batch_that_has_succeeded_pays_for_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    night(tmp_path / "1", ITEMS)
    first, _ = night(tmp_path / "2", ITEMS)
    shutil.rmtree(tmp_path / "library")
    for file in (tmp_path / "1").glob("*.png"):
        file.unlink()
    again, manifest = night(tmp_path / "2", ITEMS, max_tries=1)
    assert again == first
    assert manifest["reused"] == 4
    assert sandbox.billed == 4


def test_reuse_is_decided_once_however_the_input_comes_back(sandbox: Sandbox, tmp_path: Path) -> None:
    """An item whose input changes between two tries, and changes back, is still served by what it was served by."""
    night(tmp_path / "1", ITEMS[:1])
    night(tmp_path / "2", ITEMS[:1])
    night(tmp_path / "2", [{"id": "i0", "prompt": "a dog"}], max_tries=1)
    lines, _ = night(tmp_path / "2", ITEMS[:1], max_tries=2)
    assert statuses(lines) == ["reused"]
    assert sandbox.billed == 2
    assert [each["status"] for each in lines[0]["earlier"]] == ["completed"]


@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("/nowhere")),
    ],
    ids=["removed", "shorter", "other content", "a directory", "a link to nothing"],
)
@pytest.mark.parametrize("copy_reused", [True, False])
def test_an_incomplete_file_is_written_again(sandbox: Sandbox, tmp_path: Path, harm: Any, copy_reused: bool) -> None:
    first, _ = night(tmp_path / "1", ITEMS[:2])
    harm(Path(first[0]["files"][0]["uri"].removeprefix("file://")))
    lines, _ = night(tmp_path / "2", ITEMS[:2], copy_reused=copy_reused)
    assert statuses(lines) == ["completed", "reused"]
    assert_whole(lines)
    assert sandbox.billed == 3


def test_the_next_kept_result_serves_where_the_first_is_damaged(sandbox: Sandbox, tmp_path: Path) -> None:
    twins = [{"id": each, "prompt": "a cat"} for each in "ab"]
    first, _ = night(tmp_path / "1", twins)
    by_order = sorted(first, key=lambda line: (line["completed"], line["generation_id"]))
    damaged = Path(by_order[0]["files"][0]["uri"].removeprefix("file://"))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    lines, _ = night(tmp_path / "2", twins[:1])
    assert lines[0]["reused"] == by_order[1]["generation_id"]


def test_files_may_only_be_referenced(sandbox: Sandbox, tmp_path: Path) -> None:
    before, _ = night(tmp_path / "1", ITEMS)
    after, manifest = night(tmp_path / "2", ITEMS, copy_reused=False)
    assert [line["files"] for line in after] == [line["files"] for line in before]
    assert not list((tmp_path / "2").rglob("*.png"))
    assert (manifest["reused"], sandbox.billed) == (4, 4)


@pytest.mark.parametrize("same_name", [True, False])
def test_one_destination_for_all_nights_gets_no_file_twice(sandbox: Sandbox, tmp_path: Path, same_name: bool) -> None:
    filename = "{generation_id}_{index}" if same_name else "{run_id}/{index}"
    requests = [{**ITEMS[0], "n": 2, "model": "gemini-3-pro-image-preview"}]
    for run_id in ("1", "2", "3"):
        lines, _ = night(tmp_path / "all", requests, run_id=run_id, filename=filename)
        assert_whole(lines)
    assert sandbox.billed == 1
    assert len([each for each in (tmp_path / "all").rglob("*.png") if ".apimart" not in each.parts]) == (
        2 if same_name else 6
    )


def test_a_name_of_a_foreign_file_is_not_taken(sandbox: Sandbox, tmp_path: Path) -> None:
    night(tmp_path / "1", ITEMS[:1])
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "i0.png").write_bytes(b"mine")
    lines, _ = night(tmp_path / "2", ITEMS[:1], filename="{id}")
    assert (tmp_path / "2" / "i0.png").read_bytes() == b"mine"
    assert_whole(lines)
    assert sandbox.billed == 1


def test_fewer_outputs_than_requested_are_not_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    requests = [{"prompt": "a cat [sandbox: short]", "n": 3, "model": "gemini-3-pro-image-preview"}]
    night(tmp_path / "1", requests)
    lines, _ = night(tmp_path / "2", requests)
    assert statuses(lines) == ["completed"]
    assert len(list((tmp_path / "library" / "entries").rglob("*.json"))) == 0


def test_a_limit_counts_only_what_is_not_reused(sandbox: Sandbox, tmp_path: Path) -> None:
    night(tmp_path / "1", ITEMS[:3])
    price = sandbox.dollars / 3
    lines, manifest = night(tmp_path / "2", ITEMS, max_cost=price)
    assert statuses(lines) == ["reused"] * 3 + ["completed"]
    assert manifest["quote"]["cost"] == pytest.approx(float(price))
    assert sandbox.billed == 4


def test_a_library_that_cannot_be_read_makes_the_run_dearer_never_wrong(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    night(tmp_path / "1", ITEMS)
    broken = tmp_path / "file"
    broken.write_text("no directory")
    lines, _ = night(tmp_path / "2", ITEMS, library=broken.as_uri())
    assert statuses(lines) == ["completed"] * 4
    assert sandbox.billed == 8
    told = [record.message for record in caplog.records if "library" in record.message.lower()]
    assert len([each for each in told if "can't be read" in each]) == 1


@pytest.mark.parametrize("library", ["{}/file", "nothing://bucket/library", "s3://no_such_conn@bucket/library"])
def test_a_limit_that_was_planned_with_the_library_is_not_spent_without_it(
    sandbox: Sandbox, tmp_path: Path, library: str
) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(errors.ApimartLibraryError, match=r"can't be read .*max_cost was planned with"):
        night(tmp_path / "2", ITEMS, library=library.format(tmp_path.as_uri()), max_cost=5)
    assert sandbox.accepted == 0
    assert not [request for request in sandbox.requests if request.route == "submit"]


def test_what_was_paid_for_is_saved_though_the_library_cannot_be_read(sandbox: Sandbox, tmp_path: Path) -> None:
    """A limit without its library stops further submits, and nothing else."""
    (tmp_path / "file").write_text("no directory")
    sandbox.inject(Fault("insufficient_balance", on="submit", times=1, skip=1))
    with pytest.raises(errors.ApimartBalanceError):
        night(tmp_path / "1", ITEMS[:2], max_in_flight=1, timeout=0)
    assert sandbox.billed == 1
    with pytest.raises(errors.ApimartLibraryError, match="1 of 2 items completed"):
        night(tmp_path / "1", ITEMS[:2], library=(tmp_path / "file").as_uri(), max_cost=5)
    assert sandbox.billed == 1
    assert len(list((tmp_path / "1").glob("*.png"))) == 1


def test_a_reference_file_counts_by_its_content_and_is_not_uploaded_again(sandbox: Sandbox, tmp_path: Path) -> None:
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        (tmp_path / name).write_bytes(picture(3000, seed))

    def request(name: str) -> list[dict[str, Any]]:
        return [{"id": "x", "prompt": "a cat", "image_urls": [str(tmp_path / name)]}]

    night(tmp_path / "1", request("a.png"), upload_references=True)
    assert (sandbox.billed, sandbox.uploaded) == (1, 1)
    night(tmp_path / "2", request("b.png"), upload_references=True)
    assert (sandbox.billed, sandbox.uploaded) == (1, 1)
    night(tmp_path / "3", request("c.png"), upload_references=True)
    assert (sandbox.billed, sandbox.uploaded) == (2, 2)


def test_a_url_that_a_batch_uploaded_counts_as_its_file(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(3000, 1))
    by_file = [{"id": "x", "prompt": "a cat", "image_urls": [str(tmp_path / "a.png")]}]
    lines, _ = night(tmp_path / "1", by_file, upload_references=True)
    (url,) = lines[0]["submission"]["uploads"].values()
    after, _ = night(tmp_path / "2", [{"id": "x", "prompt": "a cat", "image_urls": [url]}])
    assert statuses(after) == ["reused"]
    other, _ = night(tmp_path / "3", [{"id": "x", "prompt": "a cat", "image_urls": [url + "?other"]}])
    assert statuses(other) == ["completed"]


def test_what_the_connection_is_called_does_not_matter(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", sandbox.connection_json())
    night(tmp_path / "1", ITEMS)
    night(tmp_path / "2", ITEMS, apimart_conn_id="other")
    assert sandbox.billed == 4


def test_lineage_gallery_and_log_name_what_is_reused(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    night(tmp_path / "1", ITEMS)
    lines, manifest = night(tmp_path / "2", ITEMS)
    page = Path(manifest["gallery"].removeprefix("file://")).read_text()
    assert page.count("reused") >= 4
    assert "4 of 4 items completed, 4 of them reused, for $0.00" in page
    assert "Reused from the library: 4 of 4 items" in caplog.text
    assert lines[0]["prompt"] == ITEMS[0]["prompt"]


@pytest.mark.parametrize("given", [{"reuse_within": WEEK}, {"library": "/library"}])
def test_reuse_needs_a_destination(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(given))} needs a destination"):
        ApimartBatchGenerationOperator(task_id="generate", requests=ITEMS, model=MODEL, **given)


@pytest.mark.parametrize(("place", "reason"), [("", "needs a library"), ("pictures", "is relative")])
def test_reuse_needs_an_absolute_library(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, reason: str
) -> None:
    monkeypatch.setenv("AIRFLOW__APIMART__LIBRARY_PATH", place)
    with pytest.raises(errors.ApimartArgumentError, match=reason):
        night(tmp_path / "1", ITEMS)
    assert sandbox.requests == ()


@pytest.mark.parametrize("within", [0, -1, "soon", True])
def test_an_impossible_time_is_an_error_when_the_dag_is_read(within: Any) -> None:
    with pytest.raises(ValueError, match="reuse_within must be"):
        ApimartBatchGenerationOperator(task_id="generate", requests=ITEMS, destination="/x", reuse_within=within)


def test_metrics_count_dollars_that_were_saved(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(tmp_path / "1", ITEMS)
    counted: dict[str, float] = {}
    stats = SimpleNamespace(
        incr=lambda name, count=1, **_: counted.update({name: counted.get(name, 0) + count}),
        timing=lambda *_, **__: None,
    )
    monkeypatch.setattr("airflow.providers.common.compat.sdk.Stats", stats)
    night(tmp_path / "2", ITEMS)
    assert counted["apimart.generation.reused"] == 4
    assert counted["apimart.generation.saved_dollars"] == pytest.approx(float(sandbox.dollars))
    assert "apimart.generation.submitted" not in counted
