"""
The process from which short-lived ones are forked, so that each has Airflow imported already.

It says ``{}`` when it is ready, reads jobs as lines of JSON, lets a fork do each, and answers with its exit status and
result. What it can do are the functions of the module that it is started with, such as :mod:`tests.lab.actions`, of
which ``prepare_database``, ``warm_up`` and ``after_fork`` are called unasked.
"""

from __future__ import annotations

import gc
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
    actions = importlib.import_module(sys.argv[1])
    if _forked(lambda: actions.prepare_database()) != 0:
        return
    actions.warm_up()
    # A collection in a fork would write to every object, and so copy all of this process's memory.
    gc.freeze()
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_do(actions, json.loads(line))), file=answers, flush=True)


def _do(actions: Any, job: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile() as file:
        status = _forked(lambda: _act(actions, job, Path(file.name)))
        text = Path(file.name).read_text()
    return {"status": status, "result": json.loads(text) if text else None}


def _act(actions: Any, job: Mapping[str, Any], result_file: Path) -> None:
    os.environ.update(job["environment"])
    actions.after_fork()
    result = getattr(actions, job["action"])(**job["arguments"])
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
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended)


if __name__ == "__main__":
    main()
