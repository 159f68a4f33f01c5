"""The Python API, the control plane, the page, the command line and the fixture."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.__main__ import sandbox_of
from airflow_provider_apimart.sandbox.service.clock import Clock

from .support import Client, fetch, picture

PROJECT = """
import json, os

def test_it(apimart_sandbox):
    connection = json.loads(os.environ["AIRFLOW_CONN_APIMART_DEFAULT"])
    assert connection["host"] == apimart_sandbox.base_url
    assert apimart_sandbox.accepted == 0
"""


def control(sandbox: Sandbox, path: str, wish: Any = None, method: str = "POST") -> Any:
    """Talk to the control plane."""
    return requests.request(method, f"{sandbox.base_url}/_sandbox/{path}", json=wish, timeout=5).json()


def test_the_control_plane_reads(client: Client, sandbox: Sandbox) -> None:
    client.finished()
    client.submit(n="1")
    url = client.upload(picture("red")).json()["url"]
    fetch(url)
    state = control(sandbox, "state", method="GET")

    assert (state["accepted"], state["billed"], state["dollars"], state["balance"]) == (1, 1, "0.05", "99.95")
    assert state["uploaded"] == sandbox.uploaded == 1
    assert state["requests"] == {"submit": 2, "status": 1, "upload": 1}
    assert (state["refused"], state["file_requests"]) == ({"400": 1}, {"file": 1})
    assert control(sandbox, "generations", method="GET")[0]["status"] == "completed"
    assert control(sandbox, "requests", method="GET")[0]["payload"]["prompt"] == "a fox"
    assert control(sandbox, "file-requests", method="GET")[0]["path"] in url


def test_the_control_plane_steers(client: Client, sandbox: Sandbox) -> None:
    control(sandbox, "faults", {"faults": [{"kind": "unavailable", "on": "balance", "times": 1}]})
    assert client.get("/v1/balance").status_code == 503
    control(sandbox, "faults", {"kind": "unavailable", "on": "balance", "share": 1})
    control(sandbox, "faults", method="DELETE")
    assert client.get("/v1/balance").status_code == 200
    control(sandbox, "settings", {"dialect": "older", "balance": "0.10"})
    generation_id = client.submit().json()["id"]
    assert control(sandbox, "clock", {"advance": 100})["ahead"] == 100
    assert sandbox.generations[0].status == "completed"
    control(sandbox, "fail", {"generation_id": generation_id, "reason": "late"})
    assert (sandbox.generations[0].failure, sandbox.dollars) == ("late", Decimal(0))

    assert control(sandbox, "reset")["accepted"] == 0
    assert "data" in client.submit().json()
    assert control(sandbox, "complete")["billed"] == 1
    assert sandbox.generations[0].status == "completed"


@pytest.mark.parametrize(
    ("path", "wish"),
    [
        ("faults", {"kind": "nonsense"}),
        ("faults", {"colour": "red"}),
        ("settings", {"port": 5}),
        ("settings", {"nonsense": 5}),
        ("settings", {"dialect": "S3+T3"}),
        ("settings", {"rate_limit": -1}),
        ("clock", {"advance": -1}),
        ("clock", {}),
        ("fail", {"generation_id": "task_x"}),
    ],
)
def test_wrong_wishes_are_refused_with_the_reason(sandbox: Sandbox, path: str, wish: dict[str, Any]) -> None:
    reply = requests.post(f"{sandbox.base_url}/_sandbox/{path}", json=wish, timeout=5)

    assert reply.status_code == 400
    assert "Error: " in reply.json()["error"]


def test_requests_are_seen_with_their_details(client: Client, sandbox: Sandbox) -> None:
    client.submit(key="k-1")
    client.upload(picture("red"))
    submit, upload = sandbox.requests

    assert (submit.method, submit.path, submit.route, submit.status) == (
        "POST",
        "/v1/images/generations",
        "submit",
        200,
    )
    assert (submit.headers["idempotency-key"], submit.payload["prompt"]) == ("k-1", "a fox")
    assert (upload.route, upload.size, upload.payload) == ("upload", len(picture("red")), None)


def test_only_so_many_requests_are_remembered() -> None:
    with Sandbox(SandboxSettings(kept_requests=3)) as small:
        for _ in range(5):
            Client(small).get("/v1/balance")

        assert len(small.requests) == 3
        assert control(small, "state", method="GET")["requests"] == {"balance": 5}


def test_counts_can_be_read_after_the_end_and_the_port_is_free() -> None:
    with Sandbox(SandboxSettings(seconds=0)) as ended:
        Client(ended).submit()
    ended.stop()

    assert (ended.accepted, ended.billed, ended.generations[0].status) == (1, 1, "completed")
    with pytest.raises(requests.ConnectionError):
        requests.get(ended.base_url, timeout=1)
    with Sandbox(SandboxSettings(port=int(ended.base_url.rpartition(":")[2]))) as again:
        assert again.accepted == 0


def test_stopping_does_not_wait_for_a_request_that_hangs() -> None:
    with Sandbox() as hanging:
        hanging.inject(Fault("no_answer", on="balance", seconds=60))
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{hanging.base_url}/v1/balance", timeout=0.1)
        started = time.monotonic()

    assert time.monotonic() - started < 30


def test_before_the_start_there_is_nothing_to_ask() -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        _ = Sandbox().accepted


def test_run_times_come_from_the_seed() -> None:
    def run_times(seed: int) -> list[float]:
        with Sandbox(SandboxSettings(seconds=10, seed=seed)) as seeded:
            for _ in range(5):
                Client(seeded).submit()
            seeded.complete_all()
            Client(seeded).submit(kind="videos")
            return [g.seconds for g in seeded.server.apimart.billing][5:]

    first = run_times(1)
    assert first == run_times(1) != run_times(2)
    assert 28 <= first[0] <= 52


def test_hints_steer_one_job(client: Client, sandbox: Sandbox) -> None:
    client.submit(metadata={"sandbox": {"seconds": 2}})
    client.submit(metadata={"sandbox": {"fail": "by wish"}})
    client.submit(prompt="[sandbox: slow]")
    client.submit(prompt="[sandbox: stuck]")
    client.submit(prompt="[sandbox: moderation]")
    assert client.submit(metadata={"sandbox": {"refuse": "insufficient_balance"}}).status_code == 402
    sandbox.advance(2)
    assert [view.status for view in sandbox.generations].count("completed") == 1
    sandbox.advance(9)
    assert [view.status for view in sandbox.generations] == [
        "completed",
        "failed",
        "processing",
        "processing",
        "failed",
    ]
    sandbox.advance(86_400)

    assert [view.status for view in sandbox.generations][2:4] == ["completed", "processing"]
    assert "SensitiveContentDetected" in str(sandbox.generations[4].failure)


def test_a_job_may_fail_once(client: Client) -> None:
    statuses = [client.finished(prompt="[sandbox: fail once] a fox")["status"] for _ in range(2)]

    assert statuses == ["failed", "completed"]


def test_a_stuck_job_still_has_a_readable_status(client: Client) -> None:
    task_id = client.task_id(prompt="[sandbox: stuck]")

    assert client.get(f"/v1/tasks/{task_id}").json()["data"]["progress"] == 0


def test_the_page_shows_it_all_and_escapes_it(client: Client) -> None:
    client.finished(prompt="<script>alert(1)</script>")
    client.finished(kind="videos")
    client.submit(prompt="[sandbox: fail <b>]")
    client.sandbox.inject(Fault("lost_answer", on="balance"))
    with pytest.raises(requests.ConnectionError):
        client.get("/v1/balance?<i>")
    client.sandbox.complete_all()
    page = fetch(f"{client.sandbox.base_url}/").text

    assert "&lt;script&gt;" in page
    content, _, script = page.partition("</main>")
    assert script.count("<script") == 1
    assert not re.search(r"<script|<b>&|<i>[^\d n]", content)
    assert client.sandbox.generations[0].urls[0] in page
    assert "lost_answer" in page
    assert "<video" in page


def test_the_empty_page(sandbox: Sandbox) -> None:
    assert "None yet." in fetch(f"{sandbox.base_url}/").text


def test_the_clock_only_goes_forward() -> None:
    clock = Clock()
    clock.advance(3600)

    assert clock.now() - time.time() == pytest.approx(3600, abs=1)
    with pytest.raises(ValueError, match="backward"):
        clock.advance(-1)


def test_the_command_line_runs_until_interrupted() -> None:
    command = [sys.executable, "-m", "airflow_provider_apimart.sandbox", "--balance", "7.5", "--api-key", "sk-mine"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    first, second = process.stdout.readline(), process.stdout.readline()
    connection = json.loads(second.removeprefix("export AIRFLOW_CONN_APIMART_DEFAULT='").rstrip("'\n"))
    headers = {"Authorization": f"Bearer {connection['password']}"}
    balance = requests.get(f"{connection['host']}/v1/balance", headers=headers, timeout=5).json()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)

    assert connection["host"] in first
    assert balance["remain_balance"] == 7.5
    assert (process.returncode, "Accepted 0, billed 0" in rest) == (0, True)


def test_the_command_line_sets_everything() -> None:
    arguments = ["--seconds", "9", "--rate-limit", "5", "--dialect", "older", "--ignore-idempotency", "--any-model"]
    made = sandbox_of([*arguments, "--fault", "lost_answer:1", "--fault", "unavailable@balance:1"])
    settings = made.settings

    assert (settings.seconds, settings.rate_limit, settings.dialect) == (9, 5, "older")
    assert (settings.ignore_idempotency, settings.any_model, settings.balance) == (True, True, Decimal(100))
    with made:
        assert Client(made).get("/v1/balance").status_code == 503


@pytest.mark.parametrize("arguments", [["--fault", "nonsense:1"], ["--dialect", "nonsense"], ["--port", "x"]])
def test_a_wrong_command_line_says_why(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        sandbox_of(arguments)

    assert re.search(r"error: .*(nonsense|invalid int)", capsys.readouterr().err)


def test_the_fixture_works_in_a_project_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["airflow_provider_apimart.sandbox.pytest_plugin"]')
    (tmp_path / "test_it.py").write_text(PROJECT)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path)

    assert "1 passed" in finished.stdout, finished.stdout + finished.stderr
