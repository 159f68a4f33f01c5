"""Base of the links of operators, and the page of Airflow that shows what a browser cannot open itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom, conf

from airflow_provider_apimart.compat.versions import SHOWS_URLS_AS_TEXT, WEB_SERVER_READS_LINKS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey


class OperatorLink(BaseOperatorLink):
    """
    Link whose URL an attribute of the operator holds on the worker.

    The attribute is ``None`` in a process that doesn't know the URL, and empty if there is none.
    """

    xcom_key: ClassVar[str]
    #: Name of the attribute.
    attribute: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the URL, or an empty text if there is none.

        Airflow 3 calls this on the worker, where the operator has the URL; Airflow 2 on the web server, where XCom has
        it.
        """
        url: str | None = getattr(operator, self.attribute, None)
        return url if url is not None else XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""

    @classmethod
    def set(cls, operator: object, context: Context, url: str) -> None:
        """Set the URL of a task instance's link."""
        setattr(operator, cls.attribute, url)
        if WEB_SERVER_READS_LINKS.is_present:
            context["ti"].xcom_push(key=cls.xcom_key, value=url)


def xcom_page(context: Context) -> str | None:
    """Return the URL of the page that lists the task instance's XComs, ``None`` where it is unknown or of no use."""
    base_url = conf.get("api", "base_url", fallback="")
    if SHOWS_URLS_AS_TEXT.is_present or not base_url:
        return None
    ti = context["ti"]
    dag_id, run_id, task_id = (quote(part, safe="") for part in (ti.dag_id, ti.run_id, ti.task_id))
    mapped = f"/mapped/{ti.map_index}" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{base_url.rstrip('/')}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}{mapped}/xcom"
