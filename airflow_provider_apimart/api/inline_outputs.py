"""Upload of inline outputs, which gives them the temporary URLs that all other outputs have."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.generation import Generation, Output
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.upload import ImageFile, upload
from airflow_provider_apimart.exceptions import ApimartInlineResultError, ApimartInvalidRequestError


def upload_inline_outputs(
    generation: Generation, read: Callable[[], Flow[Generation]], policy: RetryPolicy
) -> Flow[Generation]:
    """
    Return a generation whose inline outputs were uploaded.

    :param read: Reads the generation from APIMart: neither XCom nor a trigger's event holds inline content.
    :param policy: Bounds the uploads.
    :raises ApimartInlineResultError: If one is no image that APIMart accepts as an upload, or can't be read again.
    :raises ApimartError: If an upload failed.
    """
    outputs = generation.outputs
    if any(output.is_inline and output.content is None for output in outputs) and generation.generation_id is not None:
        outputs = (yield from read()).outputs
    uploaded = []
    try:
        for index, output in enumerate(outputs):
            uploaded.append((yield from _upload(output, index, policy)) if output.is_inline else output)
    except (ApimartInlineResultError, ApimartInvalidRequestError) as error:
        raise ApimartInlineResultError(
            f"A result came inside APIMart's reply instead of at a URL, and can't be uploaded: {error.message}",
            advice="Give the generation's id to ApimartToObjectStorageOperator, which saves it without a URL"
            if generation.generation_id
            else "Set a destination, to which such results are saved at once",
            generation_id=generation.generation_id,
        ) from error
    return replace(generation, outputs=tuple(uploaded))


def _upload(output: Output, index: int, policy: RetryPolicy) -> Flow[Output]:
    content = output.content
    if content is None:
        raise ApimartInlineResultError("APIMart doesn't give it again")
    file = ImageFile(f"of output {index}", f"output-{index}", len(content), lambda: io.BytesIO(content))
    made = yield from upload(file, policy)
    return Output(made.url, output.kind, made.expires_at)
