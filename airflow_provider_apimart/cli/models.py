"""Command ``airflow apimart models``."""

from __future__ import annotations

import json
from typing import Any

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_apimart.api.models import ModelDescription
from airflow_provider_apimart.checks.findings import FIELDS_OF_ALL
from airflow_provider_apimart.cli.connection import command_hook
from airflow_provider_apimart.exceptions import ApimartError


@suppress_logs_and_warning
@providers_configuration_loaded
def models(args: Any) -> None:
    """Print the models that an API key may use."""
    try:
        listed = command_hook(args.conn_id).list_models()
    except ApimartError as error:
        raise SystemExit(str(error)) from None
    if args.output == "json":
        # With the types of the values, which Airflow's own output turns to text.
        print(json.dumps([model.to_json() for model in listed], indent=2))
        return
    AirflowConsole().print_as(data=[_row(model) for model in listed], output=args.output)


def _row(model: ModelDescription) -> dict[str, str]:
    makes = ", ".join(sorted(model.modalities)) or (model.category or "")
    own = [name for name in model.parameters if name not in FIELDS_OF_ALL]
    return {"model": model.id, "makes": makes, "parameters": ", ".join(own)}
