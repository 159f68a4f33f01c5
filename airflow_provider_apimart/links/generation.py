"""The link from a task to its generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey

    from airflow_provider_apimart.api.generation import Generation


class ApimartGenerationLink(BaseOperatorLink):
    """Opens the first result once the generation is finished, and its status route until then."""

    name = "APIMart generation"
    xcom_key = "apimart_generation_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the URL of the task's generation, or nothing where it hasn't submitted yet.

        Airflow 3 asks on the worker, where the operator knows; Airflow 2 asks on the web server, where XCom does.
        """
        if isinstance(operator, LinksGeneration):
            return operator.generation_link or ""
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


class LinksGeneration:
    """An operator whose tasks link to a generation."""

    generation_link: str | None = None

    def link(self, context: Context, generation: Generation, base_url: str) -> str:
        """Let the task link to a generation from now on, and return the URL."""
        first_result = generation.outputs[0].url if generation.outputs else None
        self.generation_link = first_result or f"{base_url}/v1/tasks/{generation.generation_id}"
        context["ti"].xcom_push(key=ApimartGenerationLink.xcom_key, value=self.generation_link)
        return self.generation_link
