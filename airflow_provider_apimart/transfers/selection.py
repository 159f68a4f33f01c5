"""Selection of the generations to save, from all the forms in which a user may name them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.generation import Generation, named_generation
from airflow_provider_apimart.api.json_values import items, text
from airflow_provider_apimart.api.payload import prompt_sha256
from airflow_provider_apimart.api.plain_values import is_gap
from airflow_provider_apimart.api.rendered_values import is_nothing, rendered_value
from airflow_provider_apimart.batch.unsaved import completed_and_unsaved
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SelectedGeneration:
    """
    A generation whose outputs are to be saved.

    :param item_id: The user's own id of it in a batch.
    :param saved: The number of its outputs, from the first on, that are saved already.
    """

    generation: Generation
    item_id: str | None = None
    saved: int = 0

    @property
    def unsaved(self) -> range:
        """The indexes of the outputs that are to be saved."""
        return range(self.saved, len(self.generation.outputs))


_LEDGER_SUFFIX = ".jsonl"
# Airflow 3.0 loses keys whose value is None.
_OF_A_MANIFEST = {"items", "ledger"}


def selected_generations(value: object) -> list[SelectedGeneration]:
    """
    Return the generations that a user names. Entries that are ``None``, as a skipped task leaves them, are left out.

    :param value: The id of a generation, or the output of a generation operator or a sensor; the path or URI of a
        batch's ledger, or the manifest of a batch; a list of any of these; or the text into which a template renders
        one of them.
    :raises ApimartInvalidRequestError: If an entry names no generation, or all entries are ``None``.
    """
    entries = list(_entries(value))
    selected = [each for entry in entries if not _is_nothing(entry) for each in _generations_of(entry)]
    nothing = sum(map(_is_nothing, entries))
    if nothing and nothing == len(entries):
        raise ApimartInvalidRequestError(
            "There is nothing to save: generation is None. The task that should return it was skipped or pushed no XCom"
            if nothing == 1
            else f"There is nothing to save: all {nothing} entries of generation are None. The tasks that should "
            "return them were skipped or pushed no XCom"
        )
    if nothing:
        log.warning(
            "%d of %d entries of generation are None and are left out: their tasks were skipped, or pushed no XCom",
            nothing,
            len(entries),
        )
    return selected


def _entries(value: object) -> Iterator[object]:
    """Go through the entries of nested lists, rendered ones included."""
    if isinstance(value, os.PathLike | ObjectStoragePath):
        value = str(value)
    if isinstance(value, str):
        rendered = rendered_value(value)
        value = value.strip() if rendered is None else rendered
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        for each in value:
            yield from _entries(each)
    else:
        yield value


def _is_nothing(entry: object) -> bool:
    """Return whether an entry is a missing value, also as the text into which a template renders it."""
    return is_gap(entry) or (isinstance(entry, str) and is_nothing(entry))


def _generations_of(entry: object) -> Iterable[SelectedGeneration]:
    if isinstance(entry, Mapping) and entry.keys() & _OF_A_MANIFEST:
        # The manifest of a batch without items names no ledger.
        ledger = entry.get("ledger")
        return _unsaved_of(ledger) if ledger else ()
    if isinstance(entry, str) and entry.endswith(_LEDGER_SUFFIX):
        return _unsaved_of(entry)
    return (_selected(entry),)


def _unsaved_of(ledger: str) -> Iterator[SelectedGeneration]:
    return map(_selected, completed_and_unsaved(ledger))


def _selected(value: object) -> SelectedGeneration:
    details: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    # The line of a ledger holds the prompt itself.
    generation = named_generation(value).known_as(prompt_sha256=prompt_sha256(details.get("prompt")))
    return SelectedGeneration(generation, text(details.get("id")), len(items(details.get("files"))))
