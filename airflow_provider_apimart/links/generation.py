"""Link from a task instance to the results of its generation."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom, conf

from airflow_provider_apimart.compat.versions import SHOWS_URLS_AS_TEXT, WEB_SERVER_READS_LINKS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey

    from airflow_provider_apimart.api.generation import Generation


class ApimartGenerationLink(BaseOperatorLink):
    """
    Opens the result of a completed generation.

    Several results are opened as the page of the task instance's XComs, from Airflow 3.1 on and where
    ``[api] base_url`` is set; otherwise the first result. There is no link before: a generation's status at APIMart
    needs the API key, which a browser does not have.
    """

    name = "APIMart generation"
    xcom_key = "apimart_generation_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the URL, or an empty text while there is none.

        Airflow 3 calls it on the worker, where the operator has the URL; Airflow 2 on the web server, where XCom does.
        """
        if isinstance(operator, LinksGeneration) and operator.generation_link is not None:
            return operator.generation_link
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


class LinksGeneration:
    """Mixin of operators whose task instances link to the results of a generation."""

    # None where this process does not know, as on resuming; empty where there is nothing to link to yet.
    generation_link: str | None = None

    def link(self, context: Context, generation: Generation) -> None:
        """Link the task instance to the generation's results, if there are any."""
        if generation.url is None:
            return
        several = len(generation.urls) > 1
        self.generation_link = (several and _xcom_page(context)) or generation.url
        if WEB_SERVER_READS_LINKS.is_present:
            context["ti"].xcom_push(key=ApimartGenerationLink.xcom_key, value=self.generation_link)


def _xcom_page(context: Context) -> str | None:
    """Return the URL of the page that lists the task instance's XComs, ``None`` where it is unknown or of no use."""
    base_url = conf.get("api", "base_url", fallback="")
    if SHOWS_URLS_AS_TEXT.is_present or not base_url:
        return None
    ti = context["ti"]
    dag_id, run_id, task_id = (quote(part, safe="") for part in (ti.dag_id, ti.run_id, ti.task_id))
    mapped = f"/mapped/{ti.map_index}" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{base_url.rstrip('/')}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}{mapped}/xcom"
