"""Command ``airflow apimart quote``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.batch.items import Shared, read_items
from airflow_provider_apimart.batch.request_file import read_request_file
from airflow_provider_apimart.cli.connection import command_hook
from airflow_provider_apimart.exceptions import ApimartError
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.hooks.reference_files import ReferenceFiles
from airflow_provider_apimart.quotes.quote import ModelTotal, QuoteTotal, total


@suppress_logs_and_warning
@providers_configuration_loaded
def quote(args: Any) -> None:
    """Print what the requests of a file will cost."""
    try:
        quoted = _quoted(args, command_hook(args.conn_id))
    except ApimartError as error:
        raise SystemExit(str(error)) from None
    if args.output == "json":
        print(json.dumps({**quoted.to_json(), "reasons": dict(quoted.reasons)}, indent=2))
        return
    AirflowConsole().print_as(data=_rows(quoted), output=args.output)
    for reason, count in quoted.reasons.most_common():
        print(f"{count:,} without a quote: {reason}")


def _quoted(args: Any, hook: ApimartHook) -> QuoteTotal:
    written = read_request_file(args.file if "://" in args.file else str(Path(args.file).absolute()))
    shared = Shared(args.conn_id, Modality(args.modality), {"model": args.model}, request=ReferenceFiles().request)
    requests = [item.request for item in read_items(written, shared)]
    return total(
        (str(request.payload.get("model")), hook.quote(request.modality, request.payload)) for request in requests
    )


def _rows(quoted: QuoteTotal) -> list[dict[str, str]]:
    rows = [
        *(_row(model, each) for model, each in sorted(quoted.by_model.items())),
        _row("total", ModelTotal(quoted.items, quoted.cost, quoted.without_quote)),
    ]
    rows[-1]["certainty"] = quoted.certainty.value
    return rows


def _row(name: str, totals: ModelTotal) -> dict[str, str]:
    return {
        "model": name,
        "requests": f"{totals.items:,}",
        "without quote": f"{totals.without_quote:,}",
        "cost": written_dollars(totals.cost),
        "certainty": "",
    }
