"""Charges and saved files of the DAG."""

from collections.abc import Callable
from pathlib import Path

from airflow_provider_apimart.sandbox import Fault, Sandbox


def test_one_image_is_billed_and_saved(run_dag: Callable[..., str], apimart_sandbox: Sandbox, tmp_path: Path) -> None:
    log = run_dag("city", destination=str(tmp_path))

    assert apimart_sandbox.billed == 1, log
    assert len(list(tmp_path.glob("*.png"))) == 1, log


def test_a_lost_reply_is_billed_once(run_dag: Callable[..., str], apimart_sandbox: Sandbox, tmp_path: Path) -> None:
    apimart_sandbox.inject(Fault("lost_answer", on="submit"))

    log = run_dag("city", destination=str(tmp_path))

    assert apimart_sandbox.billed == 1, log
    assert len(list(tmp_path.glob("*.png"))) == 1, log
