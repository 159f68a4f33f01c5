"""Upload of inline outputs, which gives them the temporary URLs that all other outputs have."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation, Output
from airflow_provider_apimart.api.upload import ImageFile, Upload
from airflow_provider_apimart.exceptions import ApimartInlineResultError, ApimartInvalidRequestError

GetGeneration = Callable[[str, Modality | None], Generation]
UploadFile = Callable[[ImageFile], Upload]


def upload_inline_outputs(generation: Generation, get_generation: GetGeneration, upload_file: UploadFile) -> Generation:
    """
    Return a generation whose inline outputs were uploaded.

    :param get_generation: Reads a generation from APIMart, since a trigger's event doesn't carry inline content.
    :param upload_file: Uploads a file.
    :raises ApimartInlineResultError: If one is no image that APIMart's upload takes.
    :raises ApimartError: If one couldn't be uploaded.
    """
    outputs = _with_content(generation, get_generation)
    try:
        uploaded = tuple(_uploaded(output, index, upload_file) for index, output in enumerate(outputs))
    except (ApimartInlineResultError, ApimartInvalidRequestError) as error:
        raise ApimartInlineResultError(
            f"A result came inside APIMart's reply instead of at a URL, and can't be uploaded: {error.message}",
            advice="Give the generation's id to ApimartToObjectStorageOperator, which saves it without a URL",
            generation_id=generation.generation_id,
        ) from error
    return replace(generation, outputs=uploaded)


def _with_content(generation: Generation, get_generation: GetGeneration) -> tuple[Output, ...]:
    """Return the outputs with the content of inline ones."""
    lacks_content = any(output.is_inline and output.content is None for output in generation.outputs)
    if lacks_content and generation.generation_id is not None:
        return get_generation(generation.generation_id, generation.modality).outputs
    return generation.outputs


def _uploaded(output: Output, index: int, upload_file: UploadFile) -> Output:
    content = output.content
    if not output.is_inline:
        return output
    if content is None:
        raise ApimartInlineResultError("APIMart doesn't give it again.")
    file = ImageFile(f"of output {index}", f"output-{index}", len(content), lambda: io.BytesIO(content))
    made = upload_file(file)
    return Output(made.url, output.kind, made.expires_at)
