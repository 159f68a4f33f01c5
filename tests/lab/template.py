"""
The process from which the lab's short-lived ones are forked, so that each has Airflow imported already.

It reads jobs as lines of JSON, lets a fork do each, and answers with its exit status and result.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    # What Airflow prints belongs into the log.
    os.dup2(2, 1)
    actions = importlib.import_module("tests.lab.actions")
    if _forked(lambda: actions.prepare_database()) != 0:
        return
    actions.warm_up()
    for line in sys.stdin:
        answers.write(json.dumps(_do(actions, json.loads(line))) + "\n")
        answers.flush()


def _do(actions: Any, job: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile() as file:
        status = _forked(lambda: _act(actions, job, Path(file.name)))
        text = Path(file.name).read_text()
    return {"status": status, "result": json.loads(text) if text else None}


def _act(actions: Any, job: Mapping[str, Any], result_file: Path) -> None:
    os.environ.update(job["environment"])
    actions.after_fork()
    result = getattr(actions, job["action"])(job["dag_id"], job["run_id"], **job["arguments"])
    result_file.write_text(json.dumps(result, default=str))


def _forked(work: Any) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended)


if __name__ == "__main__":
    main()
