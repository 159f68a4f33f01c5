"""State of the service as JSON, so that a restart can continue: generations, charges, accounts, idempotency keys."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from airflow_provider_apimart.sandbox.service.billing import Account
from airflow_provider_apimart.sandbox.service.generations import Generation
from airflow_provider_apimart.sandbox.service.idempotency import IdempotencyRecord, Scope
from airflow_provider_apimart.sandbox.service.replies import Reply
from airflow_provider_apimart.sandbox.service.service import Apimart

Json = dict[str, Any]


def service_state(apimart: Apimart) -> Json:
    """Return the state of a service as JSON."""
    billing = apimart.billing
    return {
        "ahead": apimart.clock.ahead,
        "accounts": {key: _plain(vars(account)) for key, account in billing.accounts.items()},
        "generations": [_plain(vars(generation)) for generation in billing],
        "charges": {generation_id: str(charge) for generation_id, charge in billing.charges.items()},
        "idempotency": [
            {"scope": asdict(scope), **_record_state(record)} for scope, record in apimart.idempotency.records.items()
        ],
        "failed_once": sorted(digest.hex() for digest in apimart.failed_once),
    }


def restore_service(apimart: Apimart, state: Mapping[str, Any]) -> None:
    """
    Restore the state of a service.

    :param state: what :func:`service_state` returned; raises ``LookupError``, ``TypeError`` or ``ValueError`` for
        anything else
    """
    apimart.clock.advance(state["ahead"])
    apimart.billing.restore(
        {key: _account(account) for key, account in state["accounts"].items()},
        [_generation(each) for each in state["generations"]],
        {generation_id: Decimal(charge) for generation_id, charge in state["charges"].items()},
    )
    apimart.idempotency.records = {Scope(**each["scope"]): _record(each) for each in state["idempotency"]}
    apimart.failed_once = {bytes.fromhex(digest) for digest in state["failed_once"]}


def _plain(values: Mapping[str, Any]) -> Json:
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


def _account(state: Mapping[str, Any]) -> Account:
    balance = state["balance"]
    return Account(None if balance is None else Decimal(balance), Decimal(state["used"]))


def _generation(state: Mapping[str, Any]) -> Generation:
    money = {name: Decimal(state[name]) for name in ("reserved", "price")}
    return Generation(**{**state, **money, "payload": MappingProxyType(state["payload"])})


def _record_state(record: IdempotencyRecord) -> Json:
    return {
        "body": base64.b64encode(record.body).decode(),
        "reply": {**vars(record.reply), "body": record.reply.body.decode(), "headers": dict(record.reply.headers)},
        "ready": record.ready,
        "expires": record.expires,
    }


def _record(state: Mapping[str, Any]) -> IdempotencyRecord:
    reply = {**state["reply"], "body": state["reply"]["body"].encode()}
    return IdempotencyRecord(base64.b64decode(state["body"]), Reply(**reply), state["ready"], state["expires"])
