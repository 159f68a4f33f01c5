"""Balance of an API key."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.error_mapping import find_error_reply, free_call_error
from airflow_provider_apimart.api.flow import Flow, ask
from airflow_provider_apimart.api.http_messages import Reply, Request
from airflow_provider_apimart.api.json_values import mapping, money, plain


@dataclass(frozen=True)
class Balance:
    """
    Balance of an API key in US dollars.

    :param remaining: Dollars left, ``None`` for an unlimited key.
    :param used: Dollars spent so far, ``None`` if unknown.
    """

    remaining: Decimal | None
    used: Decimal | None = None

    @property
    def unlimited(self) -> bool:
        """Whether the key has no limit of its own."""
        return self.remaining is None

    def covers(self, dollars: Decimal) -> bool:
        """Whether an amount of US dollars can be paid."""
        return self.remaining is None or self.remaining >= dollars

    def to_xcom(self) -> dict[str, Any]:
        """Return the balance as plain JSON."""
        return {"remaining": plain(self.remaining), "used": plain(self.used), "unlimited": self.unlimited}


def balance() -> Flow[Balance]:
    """
    Read the balance of the API key. It costs nothing.

    :raises ApimartError: If it couldn't be read. A reply with ``success: false`` is an
        :class:`~airflow_provider_apimart.exceptions.ApimartServerError` with its message.
    """
    return read_balance((yield from ask(Request("GET", contract.BALANCE_PATH))))


def read_balance(reply: Reply) -> Balance:
    """
    Return the balance that a reply says.

    :raises ApimartError: If it says none.
    """
    if error_reply := find_error_reply(reply):
        raise free_call_error(error_reply)
    body = mapping(reply.json)
    # Some installations wrap this reply like all others.
    body = mapping(body.get("data")) or body
    remaining = money(body.get("remain_balance"))
    if body.get("unlimited_quota") is True:
        return Balance(None, money(body.get("used_balance")))
    if remaining is None:
        raise errors.ApimartServerError("The balance reply holds no balance", status=reply.status)
    return Balance(remaining, money(body.get("used_balance")))
