"""The forge's workflow, compared with the script that runs everything in sequence."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from tests.lab.fork_server import PROJECT

WORKFLOW = PROJECT / ".github" / "workflows" / "ci.yml"


def commands_in(script: str) -> Iterator[str]:
    """Yield the make commands of a script, one for each target and each version of Airflow, without installations."""
    for line in re.findall(r"^(?:step )?make (.*)$", script, re.MULTILINE):
        words = [word for word in shlex.split(line) if not word.startswith(("-", ".venv/"))]
        targets = [word for word in words if "=" not in word]
        values = [values_of(word) for word in words if "=" in word]
        for target, *chosen in itertools.product(targets, *values):
            yield " ".join(["make", target, *chosen])


def values_of(assignment: str) -> list[str]:
    """Return an assignment once for each value that it names."""
    name, _, values = assignment.partition("=")
    return [f"{name}={value}" for value in values.split()]


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
    in_sequence = sorted(commands_in((PROJECT / ".ci" / "run").read_text()))
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    assert sorted(itertools.chain.from_iterable(map(commands_of, jobs))) == in_sequence
    assert len(in_sequence) > 10
