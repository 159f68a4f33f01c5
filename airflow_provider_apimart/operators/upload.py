"""Operator that uploads a reference image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.hooks.lazy_hook import LazyHook
from airflow_provider_apimart.rendering import RendersText

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath


class ApimartUploadImageOperator(LazyHook, RendersText):
    """
    Upload a reference image to APIMart and return its public URL, which is valid for 72 hours.

    An upload costs nothing. A retry uploads again and returns another URL.

    The details (``url``, ``filename``, ``content_type``, ``bytes``, ``created_at``, ``expires_at``) are in XCom under
    the key ``upload``.

    .. seealso:: :class:`~airflow_provider_apimart.operators.generation.ApimartImageGenerationOperator`, whose
        ``image_urls`` takes the output of this operator.

    :param image: A local path on the worker, or a URI of Airflow's object storage, such as
        ``s3://aws_default@bucket/reference.jpg``. JPEG, PNG, WebP or GIF by its content, at most 20 MB. (templated)
    :param library: Directory or URI of the library of results that learns the image's content, so that another upload
        of it is the same reference; by default ``[apimart] library_path``. See :doc:`/library`. (templated)
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to use. (templated)
    """

    template_fields: Sequence[str] = ("image", "library", "apimart_conn_id")
    ui_color = "#e8def8"

    def __init__(
        self,
        *,
        image: str | ObjectStoragePath,
        library: str | ObjectStoragePath | None = None,
        apimart_conn_id: str = "apimart_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image = image
        self.library = library
        self.apimart_conn_id = apimart_conn_id

    def execute(self, context: Context) -> str:
        """
        Upload the image and return its URL.

        :raises ApimartInvalidRequestError: If the file does not exist or APIMart does not accept it. Not retried.
        """
        self.check_rendered()
        upload = self.hook.upload_image(self.image, library=self.library)
        self.log.info(
            "Uploaded %s to %s, which is valid until %s", without_query(str(self.image)), upload.url, upload.expires_at
        )
        context["ti"].xcom_push(key="upload", value=upload.to_xcom())
        return upload.url
