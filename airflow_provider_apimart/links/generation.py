"""The link from a task to its generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.hooks.apimart import ApimartHook


class ApimartGenerationLink(BaseOperatorLink):
    """Opens the first result once the generation is finished, and its status route until then."""

    name = "APIMart generation"
    xcom_key = "apimart_generation_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the URL of the task's generation, or nothing where it hasn't submitted yet.

        Airflow 3 asks on the worker, where the operator knows; Airflow 2 asks on the web server, where XCom does.
        """
        if isinstance(operator, LinksGeneration) and operator.generation_link is not None:
            return operator.generation_link
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


class LinksGeneration:
    """An operator whose tasks link to a generation."""

    # None where this process doesn't know, as on resuming; empty where there is nothing to link to yet.
    generation_link: str | None = None

    def link(self, context: Context, generation: Generation, hook: ApimartHook) -> str:
        """Let the task link to a generation from now on, and return the URL."""
        from airflow_provider_apimart.api.contract import Modality

        status_route = f"{(generation.modality or Modality.IMAGE).status_paths[0]}/{generation.generation_id}"
        self.generation_link = generation.url or f"{hook.settings.base_url}{status_route}"
        context["ti"].xcom_push(key=ApimartGenerationLink.xcom_key, value=self.generation_link)
        return self.generation_link
