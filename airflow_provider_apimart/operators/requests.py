"""Base of operators with many requests: the items and their defaults."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from airflow_provider_apimart.api.arguments import one_of, switch
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.hooks.lazy_hook import LazyHook
from airflow_provider_apimart.rendering import RendersText

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_apimart.batch.items import BatchItem


def _rows_of_table(table: Any) -> Iterable[object] | None:
    """Return the rows of a table of polars, pyarrow or pandas, ``None`` for anything else."""
    for method, arguments in (("to_dicts", ()), ("to_pylist", ()), ("to_dict", ("records",))):
        if hasattr(table, "columns") and callable(rows := getattr(table, method, None)):
            return cast("Iterable[object]", rows(*arguments))
    return None


class ReadsRequests(LazyHook, RendersText):
    """
    Base of operators that take many requests.

    :param requests: The items: a list, a table of pandas, polars or pyarrow, the output of another task, or the
        absolute path or URI of a JSON Lines file.
        Each is a mapping with fields of the request under APIMart's names (``model``, ``prompt``, ``image_urls``,
        ...) and, optionally, ``id`` (default: its position), ``modality`` and ``parameters``. Set ids if the order may
        change between two tries. All items are checked before the first one is paid for. (templated)
    :param modality: Default for items without it: ``"image"``, ``"video"`` or ``"music"``.
    :param model: Default for items without it. (templated)
    :param prompt: Default for items without it. (templated)
    :param image_urls: Default for items without it. (templated)
    :param size: Default for items without it. (templated)
    :param resolution: Default for items without it. (templated)
    :param n: Default for items without it: the number of images of an item. (templated)
    :param duration: Default for items without it: seconds of a video. (templated)
    :param parameters: Default for items without them: any other parameters of the models. (templated)
    :param upload_references: Whether references may name files, as for
        :class:`~airflow_provider_apimart.operators.generation.ApimartImageGenerationOperator`. Each distinct file is
        uploaded once, not once for every item.
    :param check: What is done before the first submit about contradictions between the items and APIMart's
        descriptions of their models: ``"warn"`` logs them, ``"refuse"`` fails the task before anything is sent,
        ``"off"`` doesn't check. Each is logged once, with the first items that have it. See :doc:`/checks`.
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to use. (templated)
    """

    #: Arguments that are sent under their own names.
    shared_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "prompt",
        "image_urls",
        "size",
        "resolution",
        "n",
        "duration",
    )
    template_fields: Sequence[str] = ("requests", *shared_fields, "parameters", "apimart_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"requests": "json", "parameters": "json"}

    def __init__(
        self,
        *,
        requests: Iterable[Mapping[str, Any]] | str | os.PathLike[str] | ObjectStoragePath,
        modality: Literal["image", "video", "music"] = "image",
        model: str | None = None,
        prompt: str | None = None,
        image_urls: Sequence[str | Mapping[str, Any]] | str | None = None,
        size: str | None = None,
        resolution: str | None = None,
        n: int | str | None = None,
        duration: float | str | None = None,
        parameters: Mapping[str, Any] | None = None,
        upload_references: bool = False,
        check: Literal["warn", "refuse", "off"] = "warn",
        apimart_conn_id: str = "apimart_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.requests = requests
        self.modality = one_of(modality, "modality", ("image", "video", "music"))
        self.model = model
        self.prompt = prompt
        self.image_urls = image_urls
        self.size = size
        self.resolution = resolution
        self.n = n
        self.duration = duration
        self.parameters = parameters
        self.upload_references = switch(upload_references, "upload_references")
        self.check = one_of(check, "check", ("warn", "refuse", "off"))
        self.apimart_conn_id = apimart_conn_id

    def items(self) -> list[BatchItem]:
        """
        Return the items, all of them checked.

        :raises ApimartInvalidRequestError: With all invalid items.
        """
        from airflow_provider_apimart.api.contract import Modality
        from airflow_provider_apimart.batch.items import Shared, read_items
        from airflow_provider_apimart.hooks.reference_files import ReferenceFiles

        self.check_rendered()
        arguments = {name: value for name in self.shared_fields if (value := getattr(self, name)) is not None}
        shared = Shared(
            self.apimart_conn_id,
            Modality(self.modality),
            arguments,
            self.parameters,
            ReferenceFiles().request if self.upload_references else None,
        )
        return read_items(self._written_items(), shared)

    def _written_items(self) -> Iterable[object]:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        from airflow_provider_apimart.batch.items import parse_rendered
        from airflow_provider_apimart.batch.request_file import read_request_file

        requests: Any = self.requests
        if not isinstance(requests, Mapping | Sequence) and (rows := _rows_of_table(requests)) is not None:
            return rows
        match requests:
            case str():
                rendered = parse_rendered(requests)
                return read_request_file(requests) if rendered is None else rendered
            case os.PathLike() | ObjectStoragePath():
                return read_request_file(requests)
            case Iterable() if not isinstance(requests, Mapping | bytes):
                return requests
        raise ApimartInvalidRequestError(
            f"Invalid requests: {type(requests).__name__} is neither a list of items nor the path of a JSON Lines "
            "file. Nothing was sent"
        )
