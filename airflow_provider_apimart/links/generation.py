"""Link from a task instance to the results of its generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.links.operator_link import OperatorLink, xcom_page

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_apimart.api.generation import Generation


class ApimartGenerationLink(OperatorLink):
    """
    Opens the result of a completed generation.

    Several results are opened as the page of the task instance's XComs, from Airflow 3.1 on and where
    ``[api] base_url`` is set; otherwise the first result. There is no link before: a generation's status at APIMart
    needs the API key, which a browser does not have.
    """

    name = "APIMart generation"
    xcom_key = "apimart_generation_link"
    attribute = "generation_link"


class LinksGeneration:
    """Mixin of operators whose task instances link to the results of a generation."""

    generation_link: str | None = None

    def link(self, context: Context, generation: Generation) -> None:
        """Link the task instance to the generation's results, if there are any."""
        if generation.url is not None:
            several = len(generation.urls) > 1
            ApimartGenerationLink.set(self, context, (several and xcom_page(context)) or generation.url)
