"""The link from a task to its generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

    from airflow_provider_apimart.api.generation import Generation


class ApimartGenerationLink(BaseOperatorLink):
    """Opens the first result once the generation is finished, and its status route until then."""

    name = "APIMart generation"
    xcom_key = "apimart_generation_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL that the task has pushed, or nothing where it hasn't submitted yet."""
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


def link_of(generation: Generation, base_url: str) -> str:
    """Return the most telling URL that is known of a generation."""
    if generation.outputs:
        return generation.outputs[0].url
    return f"{base_url}/v1/tasks/{generation.generation_id}"
