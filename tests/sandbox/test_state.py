"""State file: what a restart keeps, and what it does with a broken file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from hypothesis import given, settings, strategies

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.media.state_file import StateFileError

from .support import Client, fetch, picture


def kept(path: Path, port: int = 0) -> Sandbox:
    """Return a sandbox that keeps its state."""
    return Sandbox(SandboxSettings(seconds=60, jitter=0, state=str(path), port=port))


def facts(sandbox: Sandbox, client: Client) -> tuple[object, ...]:
    """Return everything that a restart must not change."""
    views = [(view.generation_id, view.status, view.cost, view.failure, view.payload) for view in sandbox.generations]
    balance = client.get("/v1/balance").json()["remain_balance"]
    return sandbox.accepted, sandbox.billed, sandbox.dollars, sandbox.uploaded, views, balance


def test_a_restart_keeps_everything_that_is_paid(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with kept(path) as sandbox:
        client = Client(sandbox)
        port = int(sandbox.base_url.rpartition(":")[2])
        reference = client.upload(picture("red")).json()["url"]
        client.task_id(prompt="[sandbox: fail out of paint]", n=2)
        client.finished(image_urls=[reference])
        client.task_id(kind="music", model="suno")
        client.task_id(prompt="[sandbox: stuck]")
        submitted = client.submit(key="k-1", prompt="kept")
        sandbox.advance(3)
        (done,) = [view for view in sandbox.generations if view.urls]
        drawn = fetch(done.urls[0]).content
        before = facts(sandbox, client)

    with kept(path, port) as sandbox:
        client = Client(sandbox)
        assert facts(sandbox, client) == before
        replayed = client.submit(key="k-1", prompt="kept")
        assert (replayed.content, replayed.headers["Idempotency-Replayed"]) == (submitted.content, "true")
        assert client.submit(key="k-1", prompt="other").status_code == 409
        assert fetch(reference).content == picture("red")
        assert fetch(done.urls[0]).content == drawn
        sandbox.advance(1000)
        assert sorted(view.status for view in sandbox.generations) == [
            *("completed", "completed", "completed", "failed", "processing")
        ]


def test_a_reset_empties_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with kept(path) as sandbox:
        Client(sandbox).task_id()
        Client(sandbox).upload(picture("red"))
        sandbox.reset()
    with kept(path) as sandbox:
        assert (sandbox.accepted, sandbox.uploaded) == (0, 0)
    assert list((tmp_path / "state.json.uploads").iterdir()) == []


def test_without_a_file_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Sandbox() as sandbox:
        Client(sandbox).upload(picture("red"))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(cut=strategies.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused_by_name(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    path = tmp_path_factory.mktemp("state") / "state.json"
    with kept(path) as sandbox:
        Client(sandbox).submit(key="k-1")
    whole = path.read_text()
    path.write_text(whole[: int(len(whole) * cut)])

    with pytest.raises(StateFileError, match=r"state\.json is not a state file"):
        kept(path).start()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1}', "null", "\x00"])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)

    ended = subprocess.run(
        [sys.executable, "-m", "airflow_provider_apimart.sandbox", "--port", "0", "--state", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"The sandbox cannot start: {path} is not a state file")
    assert path.read_text() == text


def test_a_killed_process_keeps_all_but_the_last_second(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    command = [sys.executable, "-m", "airflow_provider_apimart.sandbox", "--port", "0", "--state", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        connection = json.loads(process.stdout.readline().partition("'")[2].rpartition("'")[0])
        body = {"model": "gemini-3-pro-image-preview", "prompt": "a fox"}
        headers = {"Authorization": f"Bearer {connection['password']}"}
        reply = requests.post(f"{connection['host']}/v1/images/generations", json=body, headers=headers, timeout=10)
        assert reply.status_code == 200
        time.sleep(2.5)
        process.send_signal(signal.SIGKILL)

    with kept(path) as sandbox:
        assert (sandbox.accepted, sandbox.dollars) == (1, Decimal("0.05"))
