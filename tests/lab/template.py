"""
The process from which short-lived ones are forked, so that each has Airflow imported already.

``python -m tests.lab.template FOLDER`` returns when the process waits for clients in the background, at the port of
loopback that the file ``port`` in the folder names. Each client has a fork of its own, which reads jobs as lines of
JSON, lets a fork do each, and answers with its exit status and result. The process ends when it has had no client for
a while. What it can do are the functions of :mod:`tests.lab.commands` and of :mod:`tests.lab.actions`.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from tests.lab import actions, commands

# Seconds without a client after which nobody is expected any more.
_PATIENCE = 20.0


def main() -> None:
    """Prepare what forks share, and go on in the background."""
    folder = Path(sys.argv[1])
    if _wait_for(_fork(commands.prepare_database)) != 0:
        sys.exit("Airflow's database can't be made")
    modules = _load()
    # A collection in a fork would write to every object, and so copy all of this process's memory.
    gc.freeze()
    listener = socket.create_server(("127.0.0.1", 0))
    if os.fork() == 0:
        _serve(listener, modules)
        os._exit(0)
    (folder / "port").write_text(str(listener.getsockname()[1]))


def _load() -> Mapping[str, Any]:
    """Import the modules of what can be done, and do once what every fork would do again."""
    modules: dict[str, Any] = {"commands": commands, "actions": actions}
    for module in modules.values():
        module.warm_up()
    return modules


def _serve(listener: socket.socket, modules: Mapping[str, Any]) -> None:
    """Fork for each client, until none is left."""
    listener.settimeout(0.5)
    clients: set[int] = set()
    last = time.monotonic()
    while clients or time.monotonic() < last + _PATIENCE:
        try:
            client, _ = listener.accept()
        except TimeoutError:
            pass
        else:
            with client:
                clients.add(_fork(partial(_attend, client, modules)))
        clients = {pid for pid in clients if os.waitpid(pid, os.WNOHANG) == (0, 0)}
        last = time.monotonic() if clients else last


def _attend(client: socket.socket, modules: Mapping[str, Any]) -> None:
    """Do the jobs of one client. Its first line names the file for everything that is printed."""
    client.setblocking(True)
    with client.makefile("rw") as lines:
        with open(json.loads(lines.readline()), "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        _answer(lines, {})
        for line in lines:
            _answer(lines, _do(json.loads(line), modules))


def _answer(lines: IO[str], answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), file=lines, flush=True)


def _do(job: Mapping[str, Any], modules: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile() as file:
        status = _wait_for(_fork(lambda: _act(job, modules[job["module"]], Path(file.name))))
        text = Path(file.name).read_text()
    return {"status": status, "result": json.loads(text) if text else None}


def _act(job: Mapping[str, Any], module: Any, result_file: Path) -> None:
    os.environ.update(job["environment"])
    module.after_fork()
    result = getattr(module, job["action"])(**job["arguments"])
    result_file.write_text(json.dumps(result, default=str))


def _fork(work: Callable[[], object]) -> int:
    """Let a fork do some work, and return its id."""
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
    return child


def _wait_for(child: int) -> int:
    """Return the exit status of a fork, negative if a signal killed it."""
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended)


if __name__ == "__main__":
    main()
