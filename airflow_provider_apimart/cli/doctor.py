"""Command ``airflow apimart doctor``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.balance import Balance, read_balance
from airflow_provider_apimart.api.flow import Flow, ask
from airflow_provider_apimart.api.http_messages import Reply, Request
from airflow_provider_apimart.api.models import ModelDescription, list_models
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.cli import diagnosis
from airflow_provider_apimart.cli.connection import command_hook
from airflow_provider_apimart.cli.diagnosis import Diagnosis
from airflow_provider_apimart.exceptions import ApimartConfigurationError, ApimartError
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.quotes.price_book import price_request


@suppress_logs_and_warning
@providers_configuration_loaded
def doctor(args: Any) -> None:
    """Print a sentence about each part of a connection, and exit with 1 if one is wrong."""
    hook, is_well = command_hook(args.conn_id), True
    for found in examine(hook):
        print(f"{'ok' if found.is_well else 'WRONG':<6} {found.subject:<13} {found.sentence}", flush=True)
        is_well &= found.is_well
    if not is_well:
        raise SystemExit(1)


def examine(hook: ApimartHook) -> Iterator[Diagnosis]:
    """Examine a connection with a few reads, which cost nothing. No request is repeated."""
    try:
        settings = hook.settings
    except ApimartConfigurationError as error:
        yield Diagnosis("connection", False, str(error))
        return
    yield Diagnosis("connection", True, f"The connection {hook.apimart_conn_id!r} leads to {settings.base_url}.")
    proxy, unreadable = diagnosis.proxy(settings), diagnosis.authorities(settings)
    yield proxy
    if unreadable:
        yield unreadable
    if proxy.is_well and not unreadable:
        yield from hook.run(_examine_service(settings))


def _examine_service(settings: ClientSettings) -> Flow[Sequence[Diagnosis]]:
    asked_at = time.time()
    answer = yield from _answer(Request("GET", contract.BALANCE_PATH))
    answered_at = time.time()
    found = _balance(answer)
    models = yield from _models()
    prices = yield from _prices(models)
    reply = answer if isinstance(answer, Reply) else None
    return [
        diagnosis.certificates(settings, None if isinstance(answer, Reply) else answer),
        diagnosis.key(found),
        diagnosis.balance(found),
        diagnosis.clock(reply, asked_at, answered_at),
        diagnosis.models(models),
        diagnosis.prices(prices),
    ]


def _answer(request: Request) -> Flow[Reply | ApimartError]:
    try:
        return (yield from ask(request))
    except ApimartError as error:
        return error


def _balance(answer: Reply | ApimartError) -> Balance | ApimartError:
    if isinstance(answer, ApimartError):
        return answer
    try:
        return read_balance(answer)
    except ApimartError as error:
        return error


def _models() -> Flow[Sequence[ModelDescription] | ApimartError]:
    try:
        return (yield from list_models())
    except ApimartError as error:
        return error


def _prices(models: Sequence[ModelDescription] | ApimartError) -> Flow[Reply | ApimartError | None]:
    listed = [] if isinstance(models, ApimartError) else models
    model = next((each.id for each in listed if each.modalities), None)
    if model is None:
        return None
    return (yield from _answer(price_request(model)))
