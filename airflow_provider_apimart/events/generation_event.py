"""Event in the life of a generation: one frozen object for log, metrics, pages and lineage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.exceptions import ApimartError

log = logging.getLogger(__name__)


class EventKind(StrEnum):
    """What has happened to a generation."""

    #: APIMart has accepted its submit, which may be charged. Where the reply was lost, that is known later.
    SUBMITTED = "submitted"
    #: A try of its task knows it, whether this try or an earlier one has submitted it.
    OBTAINED = "obtained"
    #: Its task begins to wait for it.
    WAITING = "waiting"
    #: It is completed. Its outputs may have no URL yet, or be missing.
    COMPLETED = "completed"
    #: It was completed for an earlier request, whose result is used once more at no cost.
    REUSED = "reused"
    #: Its outputs have URLs.
    AVAILABLE = "available"
    #: Its task has saved what it was to save, and returns it.
    DELIVERED = "delivered"
    #: An error has ended it, or the try of its task.
    FAILED = "failed"


@dataclass(frozen=True)
class GenerationEvent:
    """
    What has happened to a generation, with all that its task knows of it.

    :param modality: Its modality as requested, ``None`` if the task doesn't know it.
    :param model: Its model as requested, ``None`` if the task doesn't know it.
    :param generation: What is known of it, ``None`` if not even its id is, for example because its submit was refused.
    :param request: The body of the request, if this task has one.
    :param files: Its saved files in XCom form, ``None`` if the task saves nothing.
    :param destination: URI of the directory with the saved files.
    :param saved_cost: US dollars that a reused generation had cost, ``None`` if unknown.
    :param error: The error that has ended it.
    :param is_first: Whether no earlier try of the task has reported the same.
    """

    kind: EventKind
    modality: str | None = None
    model: str | None = None
    generation: Generation | None = None
    request: Mapping[str, Any] | None = None
    files: Sequence[Mapping[str, Any]] | None = None
    destination: str | None = None
    saved_cost: Decimal | None = None
    error: ApimartError | None = None
    is_first: bool = True


#: Reports an event somewhere, and ignores the kinds that it doesn't report.
EventHandler = Callable[[GenerationEvent], None]


def hand_over(event: GenerationEvent, handlers: Iterable[EventHandler]) -> None:
    """Hand an event to each handler. What one of them raises is logged: it must not fail a task that has paid."""
    for handle in handlers:
        try:
            handle(event)
        except Exception:
            # Any error: metrics are sent by whatever backend is configured.
            log.exception("A generation was %s, which couldn't be reported everywhere. The task continues", event.kind)
