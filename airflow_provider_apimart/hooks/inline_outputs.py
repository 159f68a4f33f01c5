"""Upload of inline outputs, which gives them the temporary URLs that all other outputs have."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_apimart.api.generation import Generation, Output
from airflow_provider_apimart.api.upload import ImageFile, upload
from airflow_provider_apimart.exceptions import ApimartInlineResultError, ApimartInvalidRequestError

if TYPE_CHECKING:
    from airflow_provider_apimart.hooks.apimart import ApimartHook


def upload_inline_outputs(hook: ApimartHook, generation: Generation) -> Generation:
    """
    Return a generation whose inline outputs were uploaded.

    :raises ApimartInlineResultError: If one is no image that APIMart's upload takes.
    :raises ApimartError: If one couldn't be uploaded.
    """
    outputs = _with_content(hook, generation)
    try:
        uploaded = tuple(_uploaded(hook, output, index) for index, output in enumerate(outputs))
    except (ApimartInlineResultError, ApimartInvalidRequestError) as error:
        raise ApimartInlineResultError(
            f"A result came inside APIMart's reply instead of at a URL, and can't be uploaded: {error.message}",
            advice="Give the generation's id to ApimartToObjectStorageOperator, which saves it without a URL",
            generation_id=generation.generation_id,
        ) from error
    return replace(generation, outputs=uploaded)


def _with_content(hook: ApimartHook, generation: Generation) -> tuple[Output, ...]:
    """Return the outputs with the content of inline ones, which a trigger's event doesn't carry."""
    lacks_content = any(output.is_inline and output.content is None for output in generation.outputs)
    if lacks_content and generation.generation_id is not None:
        return hook.get_generation(generation.generation_id, generation.modality).outputs
    return generation.outputs


def _uploaded(hook: ApimartHook, output: Output, index: int) -> Output:
    content = output.content
    if not output.is_inline:
        return output
    if content is None:
        raise ApimartInlineResultError("APIMart doesn't give it again.")
    file = ImageFile(f"of output {index}", f"output-{index}", len(content), lambda: io.BytesIO(content))
    made = hook.run(upload(file, hook.upload_policy))
    return Output(made.url, output.kind, made.expires_at)
