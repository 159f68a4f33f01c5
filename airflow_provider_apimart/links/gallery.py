"""Link from the task instance of a batch to its gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.links.operator_link import OperatorLink
from airflow_provider_apimart.links.pages import gallery_of_task

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ApimartGalleryLink(OperatorLink):
    """
    Opens the gallery of a batch.

    From Airflow 3.1 on, it opens the page *Gallery* of the provider's plugin, also while the batch runs. Before, it
    opens the HTML page beside the ledger where a browser can: at an ``http(s)`` address. Otherwise there is no link.
    """

    name = "APIMart gallery"
    xcom_key = "apimart_gallery_link"
    attribute = "gallery_link"


class LinksGallery:
    """Mixin of operators whose task instances link to the gallery of a batch."""

    gallery_link: str | None = None

    def link_page(self, context: Context) -> None:
        """Link a task instance that begins to its page in Airflow's interface, where there is one."""
        self.gallery_link = page = gallery_of_task(context["ti"]) or ""
        if page:
            context["ti"].xcom_push(key=ApimartGalleryLink.xcom_key, value=page)

    def link(self, context: Context, gallery: str | None) -> None:
        """
        Link the task instance to a gallery.

        :param gallery: The URI of the HTML page beside the ledger, ``None`` if there is none.
        """
        opens = gallery is not None and gallery.startswith(("http://", "https://"))
        ApimartGalleryLink.set(self, context, gallery_of_task(context["ti"]) or (gallery if gallery and opens else ""))
