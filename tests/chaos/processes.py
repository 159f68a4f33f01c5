"""Processes that are killed together with all that they have started, and that leave nobody behind."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

# From <linux/prctl.h>.
_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_STOP = 20.0


class Processes:
    """
    Processes by name, each with a log file of its own. Leaving the ``with`` block ends all of them.

    :param logs: Directory of the log files.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._said_before: dict[str, int] = {}

    def __enter__(self) -> Self:
        _adopt_orphans()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._started:
            self.kill(name)
        self._kill_orphans()

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str], user: str | None = None) -> None:
        """
        Run a process to its end.

        :raises AssertionError: If it fails.
        """
        self.start(name, command, environment, user)
        if self._started[name].wait():
            raise AssertionError(f"{name} failed:\n{self.log(name)[-6000:]}")

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], user: str | None = None) -> None:
        """
        Start a process, in a session of its own, so that a Ctrl-C in the terminal doesn't reach it.

        :param user: Who it runs as, if not as we do.
        """
        with (self._logs / f"{name}.log").open("ab") as output:
            self._said_before[name] = output.tell()
            self._started[name] = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=user,
                group=user and pwd.getpwnam(user).pw_gid,
                extra_groups=[] if user else None,
            )

    def log(self, name: str) -> str:
        """Return what a process has said."""
        return (self._logs / f"{name}.log").read_text(errors="replace")

    def has_said(self, name: str, words: str) -> bool:
        """Whether a process has said something since its last start."""
        with (self._logs / f"{name}.log").open("rb") as log:
            log.seek(self._said_before[name])
            return words.encode() in log.read()

    def kill(self, name: str) -> None:
        """Kill a process and all its descendants with SIGKILL, as when their machine is lost."""
        process = self._started[name]
        if process.poll() is None:
            _kill(_family(process.pid))
        process.wait()
        self._kill_orphans()

    def stop(self, name: str) -> None:
        """Interrupt a process and wait for its end."""
        process = self._started[name]
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LONGEST_STOP)
        self.kill(name)

    def exited(self) -> list[str]:
        """Return the names of those that have ended."""
        return [name for name, process in self._started.items() if process.poll() is not None]

    def _kill_orphans(self) -> None:
        """Kill what was started while its parent was being killed."""
        known = {process.pid for process in self._started.values()}
        for child in psutil.Process().children():
            if child.pid not in known:
                _kill(_family(child.pid))


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, as an init process does."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    # Also takes note of the deaths of those that have become our own children.
    psutil.wait_procs(processes, timeout=_LONGEST_STOP)
