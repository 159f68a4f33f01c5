from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lab.fork_server import PROJECT

# Processes that end their parent's orphans must not be run by the process of the tests, which has other children.
KILLED = """
import os, pathlib, psutil, sys, time
from tests.chaos.processes import Processes

logs = pathlib.Path(sys.argv[1])
with Processes(logs) as processes:
    processes.start("family", ["sh", "-c", "sleep 1000 & setsid sh -c 'sleep 99 & echo all; wait' & wait"], os.environ)
    while "all" not in processes.log("family"):
        time.sleep(0.01)
    print(len(psutil.Process().children(recursive=True)))
    processes.kill("family")
    print(len(psutil.Process().children(recursive=True)), processes.exited())
    processes.kill("family")
    said = processes.has_said("family", "all")
    processes.start("family", ["sleep", "1000"], os.environ)
    print(said, processes.has_said("family", "all"))
print(len(psutil.Process().children(recursive=True)))
"""


def test_a_killed_process_leaves_no_descendant_and_the_block_leaves_no_process(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == ["4", "0 ['family']", "True False", "0"]
