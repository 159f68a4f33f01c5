"""Saver of a generation's outputs: names, owners and newer URLs follow from the generation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation, Output
from airflow_provider_apimart.exceptions import ApimartError
from airflow_provider_apimart.results.saver import ResultSaver, SaveRequest
from airflow_provider_apimart.results.storage.file_names import FileNames
from airflow_provider_apimart.results.storage.kept_file import KeptFile
from airflow_provider_apimart.results.storage.receipts import SavedFile

GetGeneration = Callable[[str, Modality | None], Generation]


class OutputSaver:
    """
    Saver of the outputs of generations. Several threads may use it at once.

    :param template: The ``filename`` template.
    :param run: The values of the run; see :func:`~airflow_provider_apimart.results.options.run_values`.
    :param get_generation: Reads a generation from APIMart, for newer URLs and inline outputs.
    :raises ApimartInvalidRequestError: If the template is invalid.
    """

    def __init__(
        self, saver: ResultSaver, template: str, run: Mapping[str, object], get_generation: GetGeneration
    ) -> None:
        self._saver = saver
        self._names = FileNames(template)
        self._run = run
        self._get_generation = get_generation

    def save(self, generation: Generation, index: int, item_id: str | None = None) -> SavedFile:
        """
        Save one output.

        :param index: The output, from zero.
        :param item_id: The user's own id of the generation in a batch.
        :raises ApimartError: As :meth:`~airflow_provider_apimart.results.saver.ResultSaver.save` does.
        """
        output = _with_expiry(generation.outputs[index], generation)
        result_id = generation.generation_id or self._id_of(output, item_id)
        return self._saver.save(
            SaveRequest(
                output,
                self._stem(generation, index, result_id, item_id),
                owner=_owner(result_id, index),
                generation_id=generation.generation_id,
                completed=generation.completed,
                ask_again=partial(self._newer, generation, index),
            )
        )

    def save_all(self, generation: Generation, item_id: str | None = None) -> list[SavedFile]:
        """
        Save all outputs of a generation, and return the files in their order.

        :raises ApimartError: If one couldn't be saved. A repetition fetches no file again that was saved.
        """
        return [self.save(generation, index, item_id) for index in range(len(generation.outputs))]

    def copy_all(
        self, generation: Generation, files: Sequence[KeptFile], item_id: str | None = None
    ) -> list[SavedFile]:
        """
        Copy the kept files of a generation under the names that its outputs have in this task.

        :param files: One for each of its outputs.
        :raises KeptFileLostError: If one of them isn't what was saved.
        :raises ApimartDestinationError: If a copy couldn't be written.
        """
        result_id = str(generation.generation_id)
        return [
            self._saver.copy(file, self._stem(generation, index, result_id, item_id), _owner(result_id, index))
            for index, file in enumerate(files)
        ]

    def _stem(self, generation: Generation, index: int, result_id: str, item_id: str | None) -> str:
        return self._names.stem(
            {
                **self._run,
                "generation_id": result_id,
                **dict.fromkeys(("id", "key"), item_id or generation.key or result_id),
                "index": index,
                "kind": generation.outputs[index].kind.value,
                "model": generation.model,
                "modality": generation.modality and generation.modality.value,
            }
        )

    def _id_of(self, output: Output, item_id: str | None) -> str:
        """Return an id for a result that came at once and has none: no other item or task may have the same."""
        task = [str(self._run.get(name)) for name in ("dag_id", "task_id", "run_id", "map_index")]
        written = "\n".join([*task, item_id or "", output.digest])
        return hashlib.sha256(written.encode()).hexdigest()[:16]

    def _newer(self, generation: Generation, index: int) -> Output | None:
        """Return an output as APIMart has it now: its record may hold a newer URL."""
        if generation.generation_id is None:
            return None
        with suppress(ApimartError):
            outputs = self._get_generation(generation.generation_id, generation.modality).outputs
            return outputs[index] if index < len(outputs) else None
        return None


def _owner(result_id: str, index: int) -> str:
    return f"{result_id}#{index}"


def file_details(file: SavedFile, generation: Generation, index: int) -> dict[str, Any]:
    """Return a saved output as it is under ``files`` in XCom."""
    return {**file.to_json(), "generation_id": generation.generation_id, "index": index}


def _with_expiry(output: Output, generation: Generation) -> Output:
    if output.expires_at or not generation.completed:
        return output
    return replace(output, expires_at=generation.completed + contract.RESULT_LIFETIME)
