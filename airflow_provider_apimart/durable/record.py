"""
Record of one paid generation: its interface, and the record in Airflow's state store.

A task with one generation keeps it in Airflow's state store (3.3 and later) or in files
(:mod:`~airflow_provider_apimart.durable.file_record`); an item of a batch in the batch's journal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from airflow_provider_apimart.durable.facts import Fact, FactKind, fact_from_json
from airflow_provider_apimart.durable.fence import overtaken, superseded
from airflow_provider_apimart.durable.item_record import ItemRecord
from airflow_provider_apimart.durable.version_1 import facts_of_submission
from airflow_provider_apimart.exceptions import ApimartRecordError

log = logging.getLogger(__name__)

RECORD_KEY = "apimart_submission"
#: Version of the stored form. What a newer version of the provider wrote is refused.
VERSION = 2


class Record(Protocol):
    """The facts about one paid generation."""

    def read(self) -> ItemRecord:
        """
        Return the known facts.

        :raises ApimartError: If they can't be read, which never counts as "nothing was paid".
        """

    def note(self, kind: FactKind, **details: Any) -> None:
        """
        Note a fact.

        It is durable when :meth:`before_post` of the same record has returned.

        :raises ApimartError: If it can't be written.
        """

    def before_post(self) -> None:
        """
        Check that a paid POST may follow.

        :raises ApimartSupersededError: If a newer try of the task has begun.
        :raises ApimartError: If a noted fact isn't durable.
        """


@contextmanager
def only_logged(what: str) -> Iterator[None]:
    """Log an error instead of raising it: the paid generation continues, and a failed task would lose it."""
    try:
        yield
    except Exception:
        # Any error: the store is a remote service with a client that isn't ours.
        log.exception(
            "%s could not be noted in the record. The task continues. A retry finds the record without it, and the "
            "idempotency key prevents a second charge",
            what,
        )


class TaskStateStore(Protocol):
    """The part of Airflow's ``context["task_state_store"]`` (3.3 and later) that is used."""

    def get(self, key: str) -> Any:
        """Return the value under a key, ``None`` if there is none."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Write the value under a key."""


class StateStoreRecord:
    """
    The record of a task's generation in Airflow's own state store, which survives retries, deferral and clears.

    Each try has an entry of its own, so that none overwrites what another one has noted. One entry more, the fence, has
    the number of the newest try that may submit. The entries don't expire by time; Airflow removes them with the task
    instance.

    :param store: ``context["task_state_store"]``.
    :param try_number: ``ti.try_number``.
    :param clock: The Unix time.
    """

    def __init__(self, store: TaskStateStore, try_number: int, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._try_number = try_number
        self._clock = clock
        #: What the older tries had noted when this one read it first.
        self._older: list[object] | None = None

    def read(self) -> ItemRecord:
        """Return the facts of all tries."""
        record = ItemRecord()
        if self._older is None:
            self._older = self._entries_of_older_tries()
        with record_errors("Airflow's state store"):
            for fact in self._facts_of_all_tries():
                record = record.with_fact(fact)
            record.check()
        return record

    def note(self, kind: FactKind, **details: Any) -> None:
        """Add a fact to those of this try."""
        key = _key_of(self._try_number)
        with record_errors("Airflow's state store"):
            facts = [each.to_json() for each in _facts_from(self._store.get(key))]
        facts.append(Fact(kind, "", self._clock(), details).to_json())
        self._store.set(key, {"version": VERSION, "facts": facts}, retention=_never_expires())

    def before_post(self) -> None:
        """
        Claim the record for this try, and check that no newer one has done so.

        An older try records that it sends before it reads the fence, and this one reads its facts after it has
        written the fence. So at least one of the two sees the other.
        """
        with record_errors("Airflow's state store"):
            newest = _try_of(self._store.get(_FENCE_KEY))
        # A newer try may have noted something without a claim: it found what this one mustn't repeat.
        if newest > self._try_number or self._store.get(_key_of(self._try_number + 1)) is not None:
            raise superseded()
        if newest < self._try_number:
            fence = {"version": VERSION, "try": self._try_number}
            self._store.set(_FENCE_KEY, fence, retention=_never_expires())
            if self._older is not None and self._entries_of_older_tries() != self._older:
                raise overtaken()

    def _entries_of_older_tries(self) -> list[object]:
        return [self._store.get(_key_of(each)) for each in range(1, self._try_number)]

    def _facts_of_all_tries(self) -> Iterator[Fact]:
        # Version 1.0.0 kept its record under the bare key.
        for key in (RECORD_KEY, *map(_key_of, range(1, self._try_number + 1))):
            yield from _facts_from(self._store.get(key))


_FENCE_KEY = f"{RECORD_KEY}.fence"


def _key_of(try_number: int) -> str:
    return f"{RECORD_KEY}.{try_number}"


def _try_of(fence: object) -> int:
    """Return the number of the try that a fence names, 0 if there is none."""
    if fence is None:
        return 0
    number = fence.get("try") if isinstance(fence, Mapping) and fence.get("version") == VERSION else None
    if not isinstance(number, int):
        raise ValueError("its fence can't be read, or is of a newer version of the provider")
    return number


def _facts_from(value: object) -> list[Fact]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise ValueError(f"it is {type(value).__name__}, not an object")
    if "version" not in value:
        return list(facts_of_submission(value, ""))
    if value["version"] != VERSION:
        raise ValueError(f"it has version {value['version']!r}, and this version of the provider reads {VERSION}")
    facts = value.get("facts")
    if not isinstance(facts, list):
        raise ValueError("it has no list of facts")
    return [fact_from_json(each) for each in facts]


def _never_expires() -> Any:
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # Airflow resolves it when it is asked for

    return NEVER_EXPIRE


@contextmanager
def record_errors(place: str) -> Iterator[None]:
    """
    Report a record that can't be read.

    :param place: Its place, for the message.
    :raises ApimartRecordError: Instead of a ``ValueError``.
    """
    try:
        yield
    except ValueError as error:
        raise ApimartRecordError(
            f"The record of what was paid can't be read: {error} ({place}). Nothing was submitted. Restore it from a "
            "backup, or remove it if you accept that its generations may be paid again"
        ) from error
