"""What a user asks to be saved, in all the ways that one may name it, as one kind of value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.generation import Generation, Output, named_generation, rendered_value
from airflow_provider_apimart.api.json_values import items, text
from airflow_provider_apimart.api.payload import prompt_sha256
from airflow_provider_apimart.batch.unsaved import completed_and_unsaved


@dataclass(frozen=True)
class SelectedGeneration:
    """
    A generation whose files are to be saved.

    :param item_id: The user's own id of it in a batch.
    :param saved: How many of its outputs, from the first on, are saved already.
    """

    generation: Generation
    item_id: str | None = None
    saved: int = 0

    def files(self) -> Iterator[SelectedFile]:
        """Go through the files to be saved."""
        for index, output in enumerate(self.generation.outputs):
            if index >= self.saved:
                yield SelectedFile(self, index, _with_expiry(output, self.generation))


@dataclass(frozen=True)
class SelectedFile:
    """
    One file to be saved.

    :param index: Which of the generation's outputs it is, from zero.
    """

    of: SelectedGeneration
    index: int
    output: Output

    @property
    def owner(self) -> str:
        """What tells this file from every other one, on whatever URL it lies."""
        return f"{self._id}#{self.index}"

    @property
    def _id(self) -> str:
        # What has no id must not be taken for another thing that has none.
        return self.of.generation.generation_id or hashlib.sha256(self.output.url.encode()).hexdigest()[:16]

    def name_values(self) -> dict[str, object]:
        """Return what is known for the fields of a file's name."""
        generation = self.of.generation
        return {
            "generation_id": self._id,
            "id": self.of.item_id or self._id,
            "index": self.index,
            "kind": self.output.kind.value,
            "model": generation.model,
            "modality": generation.modality and generation.modality.value,
        }


_LEDGER_SUFFIX = ".jsonl"
# Airflow 3.0 loses keys whose value is None.
_OF_A_MANIFEST = {"items", "ledger"}


def selected_generations(value: object) -> Iterator[SelectedGeneration]:
    """
    Go through the generations that a user names.

    :param value: The id of a generation, or what a generation operator or a sensor returned; the URI of a batch's
        ledger, or the manifest that a batch returned; a list of any of these; or the text into which a template
        renders one of them.
    :raises ApimartInvalidRequestError: If something of it names none.
    """
    if isinstance(value, str):
        rendered = rendered_value(value)
        value = value.strip() if rendered is None else rendered
    if isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from selected_generations(each)
    elif isinstance(value, Mapping) and value.keys() & _OF_A_MANIFEST:
        # That of a batch without items names no ledger.
        ledger = value.get("ledger")
        yield from _unsaved_of(ledger) if ledger else ()
    elif isinstance(value, str) and value.endswith(_LEDGER_SUFFIX):
        yield from _unsaved_of(value)
    else:
        yield _selected(value)


def _unsaved_of(ledger: str) -> Iterator[SelectedGeneration]:
    return map(_selected, completed_and_unsaved(ledger))


def _selected(value: object) -> SelectedGeneration:
    details: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    # The line of a ledger holds the prompt itself.
    generation = named_generation(value).known_as(prompt_sha256=prompt_sha256(details.get("prompt")))
    return SelectedGeneration(generation, text(details.get("id")), len(items(details.get("files"))))


def _with_expiry(output: Output, generation: Generation) -> Output:
    if output.expires_at or not generation.completed:
        return output
    return replace(output, expires_at=generation.completed + contract.RESULT_LIFETIME)
