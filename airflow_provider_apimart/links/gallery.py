"""Link from the task instance of a batch to its gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.links.operator_link import OperatorLink, xcom_page

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ApimartGalleryLink(OperatorLink):
    """
    Opens the gallery of a batch.

    A browser opens a gallery with an ``http(s)`` address itself. Of any other, such as ``s3://`` or a local path, the
    link opens the page of the task instance's XComs, whose ``gallery`` is its address: from Airflow 3.1 on and where
    ``[api] base_url`` is set. Otherwise there is no link.
    """

    name = "APIMart gallery"
    xcom_key = "apimart_gallery_link"
    attribute = "gallery_link"


class LinksGallery:
    """Mixin of operators whose task instances link to the gallery of a batch."""

    gallery_link: str | None = None

    def link(self, context: Context, gallery: str | None) -> None:
        """
        Link the task instance to a gallery.

        :param gallery: The URI of the gallery, ``None`` if there is none.
        """
        opens = gallery is not None and gallery.startswith(("http://", "https://"))
        url = gallery if opens else (gallery and xcom_page(context))
        ApimartGalleryLink.set(self, context, url or "")
