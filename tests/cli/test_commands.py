"""The commands as users start them, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_apimart.get_provider_info import get_provider_info
from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import needs

pytestmark = needs("command line of providers")


def command(sandbox: Sandbox, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json(),
        "AIRFLOW_CONN_WRONG": sandbox.connection_json().replace(sandbox.api_key, "sk-wrong-key-123456"),
    }
    return subprocess.run(
        [Path(sys.executable).parent / "airflow", *arguments],
        env=kept | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.starts_airflow
def test_models_as_json(sandbox: Sandbox, tmp_path: Path) -> None:
    done = command(sandbox, tmp_path, "apimart", "models", "--output", "json")
    assert done.returncode == 0, done.stderr
    models = {model["id"]: model for model in json.loads(done.stdout)}
    assert models["kling-v2-6"]["modalities"] == ["video"]
    assert models["kling-v2-6"]["parameters"]["duration"] == {"type": "integer", "enum": [5, 10]}
    assert [request.path for request in sandbox.requests] == ["/v1/models?expand=parameters"]


@pytest.mark.starts_airflow
def test_models_as_a_table(sandbox: Sandbox, tmp_path: Path) -> None:
    done = command(sandbox, tmp_path, "apimart", "models")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("veo3.1-fast")]
    assert [column.strip() for column in line.split("|")][1] == "video"
    assert "aspect_ratio" in line


@pytest.mark.starts_airflow
def test_doctor(sandbox: Sandbox, tmp_path: Path) -> None:
    done = command(sandbox, tmp_path, "apimart", "doctor")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", subject]
        for subject in ("connection", "proxy", "certificates", "key", "balance", "clock", "models", "prices")
    ]
    assert "$100.00 are left on the API key." in done.stdout


@pytest.mark.starts_airflow
def test_doctor_with_a_wrong_key(sandbox: Sandbox, tmp_path: Path) -> None:
    done = command(sandbox, tmp_path, "apimart", "doctor", "--conn-id", "wrong")
    assert done.returncode == 1
    assert "\nWRONG  key " in done.stdout
    assert "sk-wrong-key-123456" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_definition_imports_nothing_of_the_provider() -> None:
    (path,) = get_provider_info()["cli"]
    module, _, function = path.rpartition(".")
    code = (
        "import sys, airflow.cli.cli_config\n"
        "before = set(sys.modules)\n"
        f"from {module} import {function} as commands\n"
        "(group,) = commands()\n"
        "assert group.name == 'apimart' and {each.name for each in group.subcommands} >= {'doctor', 'models'}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert imported - {"airflow_provider_apimart"} == {"airflow_provider_apimart.cli", module}


@pytest.mark.starts_airflow
def test_quote(sandbox: Sandbox, tmp_path: Path) -> None:
    requests = tmp_path / "items.jsonl"
    lines: list[dict[str, object]] = [
        {"id": "fox", "prompt": "A fox in fresh snow"},
        {"id": "heron", "prompt": "A heron at dawn", "n": 2, "resolution": "4K"},
        {"modality": "video", "model": "kling-v2-6", "prompt": "The heron flies away", "duration": 5},
        {"modality": "video", "model": "kling-v2-6", "prompt": "The heron lands"},
    ]
    requests.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = command(sandbox, tmp_path, "apimart", "quote", str(requests), "--model", "gemini-3-pro-image-preview")
    assert done.returncode == 0, done.stderr
    rows = [[column.strip() for column in line.split("|")] for line in done.stdout.splitlines() if "|" in line]
    assert rows == [
        ["model", "requests", "without quote", "cost", "certainty"],
        ["gemini-3-pro-image-preview", "2", "0", "$0.30", ""],
        ["kling-v2-6", "2", "1", "$0.35", ""],
        ["total", "4", "1", "$0.65", "no_quote"],
    ]
    assert "1 without a quote: it names no duration" in done.stdout
    assert sandbox.accepted == 0
    assert not any("Authorization" in request.headers for request in sandbox.requests)


@pytest.mark.starts_airflow
def test_quote_names_what_is_wrong_with_a_file(sandbox: Sandbox, tmp_path: Path) -> None:
    requests = tmp_path / "items.jsonl"
    requests.write_text('{"prompt": "A fox"}\nnot JSON\n')
    done = command(sandbox, tmp_path, "apimart", "quote", str(requests))
    assert done.returncode == 1
    assert "Item 0 has no model" in done.stderr
    assert "(line 2) is not JSON" in done.stderr
