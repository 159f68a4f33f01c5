from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.chaos.account import Account, Bill, FaultCounts, Saved, bill_of, saved_in
from tests.chaos.run import Task

GOOD = Account(
    selected=2,
    seconds=60,
    counts=FaultCounts(Counter({"worker": 1, "database": 2}), cut=12, exited=Counter()),
    bill=Bill(20, Counter({"lost_answer": 2}), ["one", "two"]),
    saved=Saved(["two", "one"], broken=[], strays=[]),
    tasks=[Task("batch", -1, "success", 3)],
)


def test_what_was_paid_once_and_saved_holds() -> None:
    assert GOOD.holds
    assert "BROKEN" not in str(GOOD)


@pytest.mark.parametrize(
    "broken",
    [
        {"bill": replace(GOOD.bill, paid=["one", "two", "two again"])},
        {"bill": replace(GOOD.bill, paid=["one"])},
        {"saved": replace(GOOD.saved, generations=["one"])},
        {"saved": replace(GOOD.saved, generations=["one", "one"])},
        {"saved": replace(GOOD.saved, generations=["one", "two", "two"])},
        {"saved": replace(GOOD.saved, broken=["/somewhere/a.png"])},
        {"saved": replace(GOOD.saved, strays=["/somewhere/a.part"])},
        {"tasks": [*GOOD.tasks, Task("save", 0, "queued", 1)]},
        {"tasks": []},
        {"counts": replace(GOOD.counts, faults=Counter({"worker": 1, "database": 0}))},
    ],
    ids=lambda broken: "-".join(broken),
)
def test_each_broken_promise_is_reported(broken: dict[str, Any]) -> None:
    account = replace(GOOD, **broken)
    assert not account.holds
    assert "BROKEN" in str(account)


def test_what_did_not_end_is_named() -> None:
    assert "save[7] is queued at try 2" in str(replace(GOOD, tasks=[Task("save", 7, "queued", 2)]))


def picture(folder: Path, name: str, generation_id: str, content: bytes) -> dict[str, str]:
    """Write a file and return its record."""
    path = folder / name
    path.write_bytes(content)
    return {"uri": path.as_uri(), "sha256": hashlib.sha256(content).hexdigest(), "generation_id": generation_id}


def test_files_are_compared_with_what_was_recorded(tmp_path: Path) -> None:
    mapped = [picture(tmp_path, "a.png", "one", b"a"), picture(tmp_path, "b.png", "two", b"b")]
    batch = picture(tmp_path, "c.png", "three", b"c")
    line = {"generation_id": "three", "files": [{key: batch[key] for key in ("uri", "sha256")}]}
    (tmp_path / "batch.ledger.jsonl").write_text(json.dumps(line) + "\n" + json.dumps({"files": None}) + "\n")
    (tmp_path / "batch.gallery.html").write_text("")
    (tmp_path / "b.png").write_bytes(b"something else")
    (tmp_path / ".apimart" / "dag.run.task").mkdir(parents=True)
    for name in ("a.json", "dag.run.task/0-000001.facts", "dag.run.task/fence.json"):
        (tmp_path / ".apimart" / name).write_text("{}")
    (tmp_path / ".apimart" / "d.part").write_bytes(b"")
    saved = saved_in(tmp_path, [*mapped, {"uri": "file:///gone.png", "sha256": "0", "generation_id": "four"}])
    assert sorted(saved.generations) == ["one", "three"]
    assert saved.broken == ["/gone.png", str(tmp_path / "b.png")]
    assert saved.strays == [str(tmp_path / ".apimart" / "d.part")]


def test_the_bill_is_the_count_of_the_sandbox() -> None:
    with Sandbox(faults=[Fault("server_error", on="balance")]) as sandbox:
        assert bill_of(sandbox) == Bill(0, Counter(), [])
