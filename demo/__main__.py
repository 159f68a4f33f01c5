"""
Run the example DAG (reference picture, upload, generate, wait deferred, save) in a real Airflow.

Without more, it runs against the sandbox and costs nothing. With ``APIMART_API_KEY`` set it runs against the real
service, and says so first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from demo.account import read_account
from demo.reference import draw_reference

PROJECT = Path(__file__).resolve().parent.parent
WORKPLACE = PROJECT / ".demo"
LOG = WORKPLACE / "airflow.log"
DAG_ID = "example_apimart_image_to_image"


def main() -> int:
    """Run the demo and return its exit status."""
    began = time.monotonic()
    WORKPLACE.mkdir(exist_ok=True)
    LOG.write_text("")
    reference = draw_reference(WORKPLACE / "reference.png")
    with _apimart() as connection:
        environment = _airflow_environment(connection)
        _prepare_database(environment)
        print(f"Running the DAG {DAG_ID} in Airflow ...", flush=True)
        conf = {
            "reference": str(reference),
            "prompt": "The same place as a Ghibli style film still",
            "destination": f"file://{WORKPLACE / 'pictures'}",
        }
        status = _airflow(environment, "dags", "test", DAG_ID, "--conf", json.dumps(conf))
    if status:
        return _tell_failure()
    account = read_account(WORKPLACE / "airflow" / "airflow.db", DAG_ID)
    if any(step.state != "success" for step in account.steps):
        return _tell_failure()
    pages = f"AIRFLOW_HOME={WORKPLACE / 'airflow'} {Path(sys.executable).parent / 'airflow'} standalone"
    print("\n".join(["", *account.lines(), "", f"To see it in Airflow, under APIMart: {pages}"]))
    print(f"Done in {time.monotonic() - began:.0f} s. Nothing keeps running.")
    return 0


@contextmanager
def _apimart() -> Iterator[str]:
    """Provide the service, real or not, and yield the Airflow connection to it."""
    if key := os.environ.get("APIMART_API_KEY"):
        print("APIMART_API_KEY is set: this runs on the REAL service and is PAID for.", flush=True)
        yield json.dumps({"conn_type": "apimart", "password": key, "host": os.environ.get("APIMART_BASE_URL", "")})
        return
    with Sandbox(SandboxSettings(seconds=4)) as sandbox:
        print(f"The sandbox stands in for APIMart at {sandbox.base_url}; nothing is paid for.", flush=True)
        yield sandbox.connection_json()
        print(f"The sandbox made {sandbox.accepted} generation and billed {sandbox.billed}, ${sandbox.dollars}.")


def _airflow_environment(connection: str) -> Mapping[str, str]:
    return os.environ | {
        "AIRFLOW_HOME": str(WORKPLACE / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{WORKPLACE / 'airflow' / 'airflow.db'}",
        "AIRFLOW_CONN_APIMART_DEFAULT": connection,
    }


def _prepare_database(environment: Mapping[str, str]) -> None:
    if (WORKPLACE / "airflow" / "ready").exists():
        return
    print("Preparing Airflow's database (once) ...", flush=True)
    if _airflow(environment, "db", "migrate"):
        sys.exit(_tell_failure())
    (WORKPLACE / "airflow" / "ready").touch()


def _airflow(environment: Mapping[str, str], *arguments: str) -> int:
    with LOG.open("a") as log:
        command = [sys.executable, "-m", "airflow", *arguments]
        return subprocess.run(command, env=environment, stdout=log, stderr=log, check=False).returncode


def _tell_failure() -> int:
    print(LOG.read_text()[-10_000:])
    print(f"The demo failed; all that Airflow said is above and in {LOG}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
