"""Descriptions of models, from the sandbox or from a test's own schema."""

from __future__ import annotations

from typing import Any

import requests

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.api.models import list_models
from airflow_provider_apimart.checks.findings import Finding, Models
from airflow_provider_apimart.sandbox import Sandbox
from tests.api.driver import reply, run_flow


def read_models(sandbox: Sandbox) -> Models:
    """Read the models of a sandbox."""
    answer = requests.get(
        f"{sandbox.base_url}/v1/models?expand=parameters",
        headers={"Authorization": f"Bearer {sandbox.api_key}"},
        timeout=10,
    )
    return Models(run_flow(list_models(), [Reply(answer.status_code, {}, answer.content)]).value)


def entry(model_id: str, properties: Any = None, modality: str = "image", **schema: Any) -> dict[str, Any]:
    """Make an entry of the list; without properties, it describes no parameters."""
    described = {"input_schema": {"properties": {"model": {}, **properties}, **schema}} if properties else {}
    parameters = {"operation": f"{modality}_generation", **described}
    return {"id": model_id, "category": modality, "parameters": parameters}


def models(*entries: Any) -> Models:
    """Read a list of models."""
    return Models(run_flow(list_models(), [reply({"data": list(entries)})]).value)


def found(listed: Models, modality: Modality = Modality.IMAGE, **payload: Any) -> list[Finding]:
    """Return the findings about a request of the model ``m``, unless it names another."""
    return listed.findings(modality, {"model": "m", **payload})


def messages(listed: Models, modality: Modality = Modality.IMAGE, **payload: Any) -> list[str]:
    """Return the messages of the findings, the uncertain ones with a question mark before."""
    return [
        finding.message if finding.is_certain else f"? {finding.message}"
        for finding in found(listed, modality, **payload)
    ]
