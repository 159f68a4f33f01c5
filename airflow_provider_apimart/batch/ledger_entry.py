"""Line of a ledger: the state of one item, for the next task and for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.generation_parsing import is_empty_result
from airflow_provider_apimart.api.json_values import JsonObject, money, plain
from airflow_provider_apimart.durable import text_lines
from airflow_provider_apimart.durable.item_status import ItemStatus

JsonObjects = Sequence[Mapping[str, Any]]

# Many a reader takes them for the end of a line, though JSON allows them inside of a string.
_SEPARATORS = {ord(each): f"\\u{ord(each):04x}" for each in "\u0085\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """
    One line of a ledger.

    :param reason: The reason why the item isn't completed or its files aren't saved.
    :param requested: Number of requested outputs, ``None`` if unknown.
    :param outputs: Its temporary URLs, as in a generation's XCom form.
    :param result: Values of a completed result other than media, such as text.
    :param files: The saved files: ``uri``, ``bytes``, ``sha256``, ``media_type``.
    :param cost: US dollars for this item's generation, ``None`` if APIMart didn't report it.
    :param submitted: Time of the first submit, ISO 8601 in UTC.
    :param completed: Time of the completion.
    :param saved: Time at which its files were saved.
    :param clear_marker: ``ti.max_tries`` at its last failure.
    :param tried_at: Unix time of the beginning of the try in which it failed last. That try doesn't repeat it.
    :param quote: The quote of its request from before the submit: ``cost``, ``certainty``, ``reason``.
    :param request: The request without its prompt, in which files are named by the SHA-256 of their content.
    :param reused: The generation whose kept result serves the item, ``None`` if it has one of its own.
    :param saved_cost: US dollars that the reused generation had cost, ``None`` if unknown. ``cost`` is 0 then.
    :param earlier: Other generations under this item's id that were or may have been charged, with cost and files.
    :param submission: Its submit: fingerprint, idempotency key and state.
    """

    id: str
    position: int
    status: ItemStatus = ItemStatus.NOT_SUBMITTED
    generation_id: str | None = None
    modality: str | None = None
    model: str | None = None
    prompt: str | None = None
    reason: str | None = None
    requested: int | None = None
    outputs: JsonObjects = ()
    result: Mapping[str, Any] | None = None
    files: JsonObjects = ()
    cost: Decimal | None = None
    submitted: str | None = None
    completed: str | None = None
    saved: str | None = None
    clear_marker: int | None = None
    tried_at: float | None = None
    quote: Mapping[str, Any] | None = None
    request: Mapping[str, Any] | None = field(default=None, repr=False)
    reused: str | None = None
    saved_cost: Decimal | None = None
    earlier: JsonObjects = ()
    submission: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def is_empty(self) -> bool:
        """
        Whether it is completed without an output or another result: a later read may find them, at no cost.

        Without a reason it isn't: ledgers of version 1.0.0 lack the values of results.
        """
        if self.status is not ItemStatus.COMPLETED or self.files or self.reason is None:
            return False
        return is_empty_result(self.outputs, self.result)

    @property
    def is_saved(self) -> bool:
        """Whether every output is saved in the destination."""
        return len(self.files) >= len(self.outputs) and not self.is_empty

    @property
    def lacks_urls(self) -> bool:
        """Whether an output is neither saved nor at a URL, since it came inside APIMart's reply, or there is none."""
        return self.is_empty or (not self.is_saved and any(not output.get("url") for output in self.outputs))

    @property
    def is_paid(self) -> bool:
        """Whether its generation was or may have been charged."""
        return self.status in (ItemStatus.UNKNOWN, ItemStatus.RUNNING, ItemStatus.COMPLETED)

    @property
    def earlier_costs(self) -> list[Decimal | None]:
        """US dollars for each earlier generation, ``None`` if unknown."""
        return [money(each.get("cost")) for each in self.earlier]

    @property
    def total_cost(self) -> Decimal:
        """US dollars that were charged for this item as far as known, earlier generations included."""
        return sum((cost for cost in self.earlier_costs if cost), self.cost or Decimal(0))

    def generation(self) -> Generation:
        """Return the generation that the line describes."""
        known = ("generation_id", "modality", "model", "outputs", "result", "cost", "completed", "reused")
        said = {name: getattr(self, name) for name in known}
        status = ItemStatus.COMPLETED if self.status is ItemStatus.REUSED else self.status
        return generation_from_xcom({**said, "status": status.value})

    def to_json(self) -> dict[str, Any]:
        """Return the line as plain JSON."""
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}


def ledger_text(entries: Iterable[LedgerEntry]) -> bytes:
    """Return a ledger as JSON Lines."""
    return json_lines(entry.to_json() for entry in entries)


def json_lines(values: Iterable[JsonObject]) -> bytes:
    """Return objects as JSON Lines that every reader splits alike."""
    return text_lines.to_bytes(json.dumps(value, ensure_ascii=False).translate(_SEPARATORS) for value in values)
