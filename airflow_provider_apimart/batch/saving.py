"""Saving what the items of a batch have made, each as soon as it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_apimart.api.generation import Generation, Output
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.results.saver import ResultSaver
from airflow_provider_apimart.results.storage.file_names import FileNames


class BatchSaver:
    """
    Saves the outputs of items. Several threads may call it at once.

    :param hook: Asked for a newer URL where one is over.
    :param template: Of the files' names.
    :param facts: What is the same for all files: the day, the run, the task.
    :raises ApimartInvalidRequestError: If two items' files could get the same name. Nothing was sent.
    """

    def __init__(self, saver: ResultSaver, hook: ApimartHook, template: str, facts: Mapping[str, object]) -> None:
        self._saver = saver
        self._hook = hook
        self._names = FileNames(template)
        self._facts = facts
        if not (self._names.fields & {"id", "generation_id"} and "index" in self._names.fields):
            raise ApimartInvalidRequestError(
                f"With the filename {template!r} one file would replace another; it needs {{index}} and {{id}} or "
                "{generation_id}. Nothing was sent and nothing charged"
            )

    def __call__(self, item: BatchItem, generation: Generation) -> list[Mapping[str, Any]]:
        """
        Save all outputs of an item and return the files.

        :raises ApimartError: If one couldn't be saved.
        """
        return [self._save(item, generation, index) for index in range(len(generation.outputs))]

    def _save(self, item: BatchItem, generation: Generation, index: int) -> Mapping[str, Any]:
        output = generation.outputs[index]
        stem = self._names.stem(
            {
                **self._facts,
                "id": item.id,
                "generation_id": generation.generation_id,
                "index": index,
                "kind": output.kind.value,
                "model": generation.model,
                "modality": generation.modality and generation.modality.value,
            }
        )
        file = self._saver.save(
            output,
            stem,
            generation_id=generation.generation_id,
            ask_again=lambda: self._as_told_now(generation, index),
        )
        return file.to_json()

    def _as_told_now(self, generation: Generation, index: int) -> Output | None:
        if generation.generation_id is None:
            return None
        outputs = self._hook.get_generation(generation.generation_id, generation.modality).outputs
        return outputs[index] if index < len(outputs) else None
