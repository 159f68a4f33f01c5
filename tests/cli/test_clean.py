"""The removal of old records and leftovers, on what real batches and tasks have written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.durable.facts import FactKind
from airflow_provider_apimart.durable.file_record import FileRecord
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.airflow_versions import lacks, reason
from tests.batch.support import TASK, as_plan, fact_files, ledger_file, ledger_lines, make
from tests.batch.test_exports import run

if lacks("command line of providers"):
    pytest.skip(reason("command line of providers"), allow_module_level=True)

from airflow_provider_apimart.cli.clean import Cleaning, age_of, clean

AGE = timedelta(days=90)


def cleaned(folder: Path, *, days: float = 91, removes: bool = True, age: timedelta = AGE) -> list[str]:
    """Clean a directory as if some days had passed."""
    now = time.time() + days * 86_400
    return Cleaning(age, now, removes=removes).of_place(ObjectStoragePath(folder.as_uri()))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_batch_loses_its_record_and_keeps_its_ledger(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, ["a fox", "a heron"])
    ledger = ledger_file(tmp_path).read_bytes()
    size = sum(path.stat().st_size for path in fact_files(tmp_path)[0].parent.iterdir()) / 1000
    sentence = f"1 record of a batch (2 files, {size:,.1f} kB) at {tmp_path.as_uri()}."
    before = everything(tmp_path)
    assert cleaned(tmp_path, removes=False) == [f"Would remove {sentence}"]
    assert everything(tmp_path) == before
    assert cleaned(tmp_path) == [f"Removed {sentence}"]
    assert fact_files(tmp_path) == []
    assert ledger_file(tmp_path).read_bytes() == ledger
    assert cleaned(tmp_path) == [f"Nothing to remove at {tmp_path.as_uri()}."]


def test_a_clear_after_that_pays_for_nothing_again(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = as_plan(["a fox", "a heron"])
    make(sandbox, tmp_path, plan)
    before = [line["generation_id"] for line in ledger_lines(tmp_path)]
    cleaned(tmp_path)
    cleared = replace(plan, task=replace(TASK, clear_marker=TASK.clear_marker + 1), started_at=time.time())
    assert make(sandbox, tmp_path, cleared).counts.completed == 2
    assert sandbox.billed == 2
    assert [line["generation_id"] for line in ledger_lines(tmp_path)] == before


def test_a_young_batch_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, ["a fox"])
    before = everything(tmp_path)
    assert cleaned(tmp_path, days=89) == [
        f"Kept 1 record of a batch at {tmp_path.as_uri()}: not old enough, or in use."
    ]
    assert everything(tmp_path) == before


def test_an_unknown_outcome_stays_for_ever(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.inject(Fault("lost_answer", on="submit", times=10))
    make(sandbox, tmp_path, ["a fox"], item_retries=0)
    before = everything(tmp_path)
    (sentence,) = cleaned(tmp_path, days=4000)
    assert sentence.endswith(": needed for what may have been paid.")
    assert everything(tmp_path) == before


def test_records_of_single_generations(sandbox: Sandbox, tmp_path: Path) -> None:
    for name, kinds in {"refused": ["refused"], "unknown": []}.items():
        record = FileRecord(str(tmp_path), TaskIdentity("dag", name, "task", -1, 0))
        record.note(
            FactKind.SENDING, key="k", send="s", fingerprint="f", attempt=1, clear_marker=0, key_scope="", uploads={},
            modality="image", request={}, quote=None,
        )  # fmt: skip
        for kind in kinds:
            record.note(FactKind(kind), key="k", send="s", reason="no")
    sentences = cleaned(tmp_path)
    assert sentences[0].startswith("Removed 1 record of a single generation (2 files, ")
    assert sentences[1].startswith("Kept 1 record of a single generation at ")
    (left,) = {path.parent.name for path in tmp_path.rglob("*.facts")}
    assert "unknown" in left


def test_a_damaged_record_stays_and_is_reported(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, ["a fox"])
    (facts,) = fact_files(tmp_path)
    facts.write_bytes(facts.read_bytes()[:-20] + b"damage\n")
    before = everything(tmp_path)
    assert cleaned(tmp_path) == [f"Kept 1 record of a batch at {tmp_path.as_uri()}: not readable."]
    assert everything(tmp_path) == before


def test_results_are_never_removed(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    manifest = run(tmp_path.as_uri(), exports=["huggingface"])
    names = {name for name in everything(tmp_path) if not name.endswith((".facts", "fence.json"))}
    assert cleaned(tmp_path)[0].startswith("Removed 1 record of a batch")
    assert set(everything(tmp_path)) == names
    assert manifest["files"] == len(list(tmp_path.glob("*.png"))) == 4


def test_a_reused_result_is_known_without_its_record(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    library, first, second = (tmp_path / name for name in ("library", "first", "second"))
    arguments: dict[str, Any] = {"library": library.as_uri(), "reuse_within": timedelta(days=365), "exports": []}
    run(first.as_uri(), **arguments)
    before = run(second.as_uri(), **arguments)
    assert (before["reused"], sandbox.billed) == (4, 4)
    assert cleaned(second)[0].startswith("Removed 1 record of a batch")
    shutil.rmtree(library)
    after = run(second.as_uri(), max_tries=1, **arguments)
    assert {**after, "quote": None} == {**before, "quote": None}
    assert sandbox.billed == 4


def test_old_entries_of_a_library_go_and_their_files_stay(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    library, results = tmp_path / "library", tmp_path / "results"
    run(results.as_uri(), library=library.as_uri(), reuse_within=timedelta(days=365), exports=[])
    saved = everything(results)
    foreign = library / "entries" / "ab" / "mine.json"
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("{}")
    assert len(list(library.glob("entries/*/*.json"))) == 5
    assert cleaned(library, days=89) == [f"Nothing to remove at {library.as_uri()}."]
    names = ("packs/{}.txt", "references/00/{}.json", "references/00/.{}.json.0f.part", "packs/.{}.txt.0f.part")
    put = {name: library / name.format("0" * 64) for name in names}
    mine = [library / name for name in ("packs/mine.txt", "references/ab/ab.json", "references/en/labels.json")]
    mine.append(library / "references" / "ab" / f"{'0' * 64}.json")
    for path in (*put.values(), *mine):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    kinds = ("4 entries of the library", "1 pack of entries", "1 note of an upload", "2 unfinished files")
    for sentence, kind in zip(cleaned(library), kinds, strict=True):
        assert sentence.startswith(f"Removed {kind}")
    assert not any(path.exists() for path in put.values())
    assert all(path.exists() for path in mine)
    assert list(library.glob("entries/*/*.json")) == [foreign]
    assert everything(results) == saved


def test_a_batch_that_was_killed_before_it_wrote_its_ledger_keeps_its_record(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = as_plan(["a fox", "a heron"])
    make(sandbox, tmp_path, plan)
    ledger_file(tmp_path).unlink()
    assert cleaned(tmp_path)[0].endswith(": needed for what may have been paid.")
    cleared = replace(plan, task=replace(TASK, clear_marker=TASK.clear_marker + 1), started_at=time.time())
    assert make(sandbox, tmp_path, cleared).counts.completed == sandbox.billed == 2
    assert cleaned(tmp_path)[0].startswith("Removed 1 record of a batch")


def test_a_ledger_that_lacks_what_a_later_try_has_paid_does_not_stand_for_the_record(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    make(sandbox, tmp_path, ["a fox"])
    before = ledger_file(tmp_path).read_bytes()
    make(sandbox, tmp_path, ["a fox", "a heron"])
    ledger_file(tmp_path).write_bytes(before)
    assert cleaned(tmp_path)[0].endswith(": needed for what may have been paid.")


@pytest.mark.parametrize("written", ["90d", "12h", "8w", " 1 d "])
def test_ages(written: str) -> None:
    assert age_of(written) in (timedelta(days=90), timedelta(hours=12), timedelta(weeks=8), timedelta(days=1))


@pytest.mark.parametrize("written", ["", "90", "d", "-1d", "1.5d", "90 days", "999999d", "nan"])
def test_what_is_no_age(written: str) -> None:
    assert age_of(written) is None
    with pytest.raises(SystemExit, match="is not an age such as 12h, 90d or 8w"):
        clean(Namespace(older_than=written, verbose=False))


@pytest.mark.starts_airflow
def test_the_command(sandbox: Sandbox, tmp_path: Path) -> None:
    results = tmp_path / "my results"
    make(sandbox, results, ["a fox"])
    leftover = results / ".x.00ff.part"
    leftover.write_bytes(b"12345")
    old = time.time() - 100 * 86_400
    os.utime(leftover, (old, old))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    for options, verb in ((["--dry-run"], "Would remove"), ([], "Removed")):
        done = subprocess.run(
            [
                Path(sys.executable).parent / "airflow",
                "apimart",
                "clean",
                "--older-than",
                "90d",
                *options,
                results.name,
            ],
            env={**kept, **settings, "TMPDIR": tempfile.mkdtemp(dir=tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        uri = f"file://{results}"
        assert done.stdout.splitlines()[-4:] == [
            f"Nothing to remove at file://{tmp_path}/home/apimart.",
            f"Kept 1 record of a batch at {uri}: not old enough, or in use.",
            f"{verb} 1 unfinished file of a killed process (5 bytes) at {uri}.",
            "Nothing to remove at this machine's temporary directory.",
        ]
        assert leftover.exists() is bool(options)
    assert len(fact_files(results)) == 1
