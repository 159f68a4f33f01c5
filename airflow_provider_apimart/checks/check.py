"""Check of requests before they are paid: findings are logged, or refuse the requests."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.checks.findings import Finding, Models
from airflow_provider_apimart.checks.known_models import KNOWN_MODELS
from airflow_provider_apimart.exceptions import ApimartError, ApimartInvalidRequestError

if TYPE_CHECKING:
    from airflow_provider_apimart.durable.paid_request import PaidRequest

log = logging.getLogger(__name__)

_MOST_ITEMS = 5
_MOST_FINDINGS = 50
_ADVICE = 'Fix the input, or send it as it is with check="warn"'


class Check(StrEnum):
    """What is done about the findings of a check."""

    #: They are logged, and the request is sent.
    WARN = "warn"
    #: What the description of a model rules out isn't sent.
    REFUSE = "refuse"
    #: Nothing is checked.
    OFF = "off"


@dataclass(frozen=True)
class CheckedRequest:
    """
    A request that is to be checked.

    :param payload: Its body.
    :param item: The id of the batch's item, ``None`` for a generation of its own.
    """

    modality: Modality
    payload: Mapping[str, Any]
    item: str | None = None

    @classmethod
    def of(cls, request: PaidRequest, item: str | None = None) -> Self:
        """Return the check of a request that is to be paid for."""
        return cls(request.modality, request.payload, item)


def check_requests(check: Check, key_scope: str, requests: Iterable[CheckedRequest]) -> Flow[Sequence[str]]:
    """
    Compare requests with the descriptions of their models, and log or refuse what contradicts them.

    Descriptions that can't be read are no error: this is logged, and nothing is checked.

    :param key_scope: Identifies the API key and its host.
    :return: What contradicts them, a line each.
    :raises ApimartInvalidRequestError: With all certain findings, if they refuse the requests.
    """
    if check is Check.OFF:
        return ()
    try:
        models = yield from KNOWN_MODELS.read(key_scope)
    except ApimartError as error:
        # With "refuse", users rely on the check, so they must know that it was skipped.
        level = logging.WARNING if check is Check.REFUSE else logging.INFO
        log.log(level, "Requests are not checked, since the list of models couldn't be read: %s", error.summary)
        return ()
    found = find(models, requests)
    refusing = [line for finding, line in found if finding.is_certain] if check is Check.REFUSE else []
    _log([line for finding, line in found if not (refusing and finding.is_certain)])
    if refusing:
        raise _refusal(refusing)
    return [line for _, line in found]


def _log(lines: Sequence[str]) -> None:
    for line in lines[:_MOST_FINDINGS]:
        log.warning("%s", line)
    if len(lines) > _MOST_FINDINGS:
        log.warning("The check has %d more findings", len(lines) - _MOST_FINDINGS)


def find(models: Models, requests: Iterable[CheckedRequest]) -> Sequence[tuple[Finding, str]]:
    """
    Return each distinct finding with a line for people.

    :return: In the order of the requests. A line of several items names the first ones and their number.
    """
    items: dict[Finding, list[str | None]] = {}
    for request in requests:
        for finding in models.findings(request.modality, request.payload):
            items.setdefault(finding, []).append(request.item)
    return [(finding, _line(finding, found_in)) for finding, found_in in items.items()]


def _line(finding: Finding, items: Sequence[str | None]) -> str:
    named = [repr(item) for item in items[:_MOST_ITEMS] if item is not None]
    if not named:
        return finding.message
    more = f" and {len(items) - _MOST_ITEMS:,} more" if len(items) > _MOST_ITEMS else ""
    return f"{finding.message} in {'item' if len(items) == 1 else 'items'} {', '.join(named)}{more}"


def _refusal(lines: Sequence[str]) -> ApimartInvalidRequestError:
    if len(lines) == 1:
        return ApimartInvalidRequestError(f"{lines[0]}. Nothing was sent", advice=_ADVICE)
    listed = "".join(f"\n- {line}" for line in lines[:_MOST_FINDINGS])
    more = f"\n... and {len(lines) - _MOST_FINDINGS:,} more" if len(lines) > _MOST_FINDINGS else ""
    message = f"The check has {len(lines):,} findings. Nothing was sent:{listed}{more}"
    return ApimartInvalidRequestError(message, advice=_ADVICE)
