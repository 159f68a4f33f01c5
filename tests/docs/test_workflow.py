"""The forge's workflow, compared with the script that runs everything in sequence."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.lab.fork_server import PROJECT

WORKFLOW = PROJECT / ".github" / "workflows" / "ci.yml"


def split_versions(command: str) -> Iterator[str]:
    """Yield the command once for each version of Airflow that it names."""
    found = re.search(r'VERSIONS="?([^"]*)"?', command)
    if found is None:
        yield command
        return
    for version in found[1].split():
        yield command.replace(found[0], f"VERSIONS={version}")


def commands_of(job: dict[str, Any]) -> Iterator[str]:
    """Yield the make commands of a job, its matrix filled in."""
    matrix = job["strategy"]["matrix"]
    for step, values in itertools.product(job["steps"], itertools.product(*matrix.values())):
        command = step.get("run", "")
        for name, value in zip(matrix, values, strict=True):
            command = command.replace("${{ matrix." + name + " }}", value)
        if command.startswith("make "):
            yield command


def test_the_workflow_runs_what_the_script_runs() -> None:
    script = re.findall(r"^make .*$", (PROJECT / ".ci" / "run").read_text(), re.MULTILINE)
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    in_sequence = sorted(itertools.chain.from_iterable(map(split_versions, script)))
    assert sorted(itertools.chain.from_iterable(map(commands_of, jobs))) == in_sequence
    assert len(in_sequence) > len(script) > 1
