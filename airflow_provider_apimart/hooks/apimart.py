"""Hook for APIMart."""

from __future__ import annotations

import json
import os
from functools import cached_property, partial
from http import HTTPStatus
from itertools import chain, repeat
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.arguments import connection_id
from airflow_provider_apimart.api.balance import Balance, balance
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.flow import Flow, retrying
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.models import ModelDescription, list_models
from airflow_provider_apimart.api.payload import build_payload
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.requests_transport import RequestsTransport
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.api.submission import SUBMIT_POLICY, Submission, submit
from airflow_provider_apimart.api.upload import UPLOAD_POLICY, Upload, upload
from airflow_provider_apimart.api.waiting import (
    STATUS_POLICY,
    Wait,
    finished_generation,
    read_status_with_retries,
    wait_until_final,
)
from airflow_provider_apimart.compat.secrets_masker import amask_secrets, mask_secrets
from airflow_provider_apimart.durable.idempotency_key import key_scope
from airflow_provider_apimart.hooks.connection import settings_from_connection
from airflow_provider_apimart.library.options import ReuseOptions
from airflow_provider_apimart.quotes.price_book import PRICE_POLICY, PriceBook
from airflow_provider_apimart.quotes.quote import Quote
from airflow_provider_apimart.results.download.limits import DOWNLOAD_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests
    from airflow.providers.common.compat.sdk import ObjectStoragePath

T = TypeVar("T")


class ApimartHook(BaseHook):
    """
    Hook for APIMart: uploads images, submits generations, reads their status and the balance.

    The API key is sent to the connection's host only; redirects are refused. Each method retries transient errors
    itself, so a caller need not.

    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` with the API key.
    :raises ApimartArgumentError: If that is no text.
    """

    conn_name_attr = "apimart_conn_id"
    default_conn_name = "apimart_default"
    conn_type = "apimart"
    hook_name = "APIMart"

    submit_policy: RetryPolicy = SUBMIT_POLICY
    status_policy: RetryPolicy = STATUS_POLICY
    upload_policy: RetryPolicy = UPLOAD_POLICY
    price_policy: RetryPolicy = PRICE_POLICY
    download_policy: RetryPolicy = DOWNLOAD_POLICY
    connection_test_policy: RetryPolicy = RetryPolicy(max_requests=1, rate_limited_seconds=0.0)

    def __init__(self, apimart_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.apimart_conn_id = connection_id(apimart_conn_id)
        self.polling_stats = PollingStats()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the labels and hidden fields of the connection form on Airflow 2.11 to 3.1."""
        from airflow_provider_apimart.get_provider_info import UI_FIELD_BEHAVIOUR

        # The same facts under the names that those versions use.
        return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form on Airflow 2.11 to 3.1, which has fields for texts only."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        from airflow_provider_apimart.get_provider_info import CONNECTION_FIELDS

        return {
            name: StringField(field["label"], widget=BS3TextFieldWidget(), description=field["description"])
            for name, field in CONNECTION_FIELDS.items()
            if "array" not in field["schema"]["type"]
        }

    @cached_property
    def settings(self) -> ClientSettings:
        """
        The settings of the connection.

        :raises ApimartConfigurationError: If the connection isn't defined or is invalid.
        """
        try:
            connection = self.get_connection(self.apimart_conn_id)
        except AirflowNotFoundException as error:
            raise self._undefined() from error
        settings = settings_from_connection(connection)
        mask_secrets(settings.secrets.values)
        return settings

    async def get_async_settings(self) -> ClientSettings:
        """
        Return the settings of the connection, read without blocking the event loop.

        :raises ApimartConfigurationError: If the connection isn't defined or is invalid.
        """
        try:
            connection = await get_async_connection(self.apimart_conn_id)
        except AirflowNotFoundException as error:
            raise self._undefined() from error
        settings = settings_from_connection(connection)
        await amask_secrets(settings.secrets.values)
        return settings

    def _undefined(self) -> errors.ApimartConfigurationError:
        variable = f"AIRFLOW_CONN_{self.apimart_conn_id.upper()}"
        example = json.dumps({"conn_type": self.conn_type, "password": "sk-..."})
        if os.environ.get(variable):
            return errors.ApimartConfigurationError(
                f"Connection {self.apimart_conn_id!r}: Airflow cannot read the environment variable {variable}. "
                f"Write it as JSON: {variable}='{example}', with a base URL as \"host\". In a URI, the host has no "
                "scheme, and special characters are percent-encoded"
            )
        return errors.ApimartConfigurationError(
            f"The connection {self.apimart_conn_id!r} isn't defined. Add one of type {self.conn_type!r} with the API "
            f"key as its password, in the web interface or as the environment variable {variable}='{example}'"
        )

    @property
    def key_scope(self) -> str:
        """Digest of API key and host; see :func:`~airflow_provider_apimart.durable.idempotency_key.key_scope`."""
        return key_scope(self.settings.base_url, self.settings.api_key)

    def get_conn(self) -> requests.Session:
        """Return a session that sends the API key to the connection's host only."""
        return self._transport.session

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of :mod:`airflow_provider_apimart.api` and return its result."""
        return self._transport.run(flow)

    def read(self, start: Callable[[], Flow[T]]) -> T:
        """
        Run a flow that only reads. If the API key is refused and the connection has another by now, run it again.

        :param start: Starts the flow.
        :raises ApimartAuthenticationError: If the key that the connection has now is refused.
        """
        while True:
            refused = self.settings
            try:
                return self.run(start())
            except errors.ApimartAuthenticationError:
                self._read_connection_again()
                if self.settings == refused:
                    raise

    def _read_connection_again(self) -> None:
        self._transport.session.close()
        for cached in ("settings", "_transport"):
            self.__dict__.pop(cached, None)

    def upload_image(
        self, image: str | PurePath | ObjectStoragePath, *, library: str | ObjectStoragePath | None = None
    ) -> Upload:
        """
        Upload a reference image and return its public URL, which is valid for 72 hours. It costs nothing.

        :param image: A local path, or any URI or path of Airflow's object storage. It is streamed, not read into
            memory.
        :param library: The library of results that learns the image's content, so that another upload of it is the same
            reference; by default ``[apimart] library_path``. See :doc:`/library`.
        :raises ApimartInvalidRequestError: Before anything is sent, if there is no such file or APIMart does not
            accept it. The message names the file, what was found and what is allowed.
        :raises ApimartError: If the upload failed.
        """
        from airflow_provider_apimart.hooks.image_file import image_file
        from airflow_provider_apimart.hooks.reference_files import reference_file

        learns = ReuseOptions(library=library).open()
        if learns is None:
            return self.run(upload(image_file(image), self.upload_policy))
        file = reference_file(image)
        uploaded = self.run(file.upload(self.upload_policy))
        learns.note_upload(uploaded.url, file.sha256)
        return uploaded

    def submit_generation(
        self, modality: Modality | str, payload: Mapping[str, Any], *, idempotency_key: str
    ) -> Submission:
        """
        Submit a generation. It is charged.

        :param modality: ``"image"``, ``"video"`` or ``"music"``.
        :param payload: The request's body as APIMart's page of the model describes it.
        :param idempotency_key: The same key with the same payload is charged once within 24 hours.
        :raises ApimartInvalidRequestError: Before anything is sent, if the request is invalid.
        :raises ApimartUnknownOutcomeError: If it is unknown whether the generation runs. Call again with the same key
            and the same payload only.
        :raises ApimartError: If it was refused. Nothing was charged.
        """
        return self.run(submit(Modality(modality), build_payload({}, payload), idempotency_key, self.submit_policy))

    def get_generation(self, generation_id: str, modality: Modality | str | None = None) -> Generation:
        """
        Return the current state of a generation. It costs nothing.

        :param modality: Its modality, if known. It saves a request where an installation has the older polling route
            only.
        :raises ApimartGenerationNotFoundError: If APIMart doesn't know the id, or no longer knows it.
        :raises ApimartStatusUnreadableError: If the status couldn't be read several times in a row.
        """
        wait = Wait.begin(generation_id, modality=modality)
        return self.read(lambda: read_status_with_retries(wait, self.polling_stats.routes, self.status_policy))

    def wait_for_generation(
        self,
        generation_id: str,
        *,
        timeout: float | None = None,
        poll_interval: float | None = None,
        modality: Modality | str | None = None,
        on_status: Callable[[Generation], None] = lambda _: None,
    ) -> Generation:
        """
        Wait until a generation is finished and return it.

        :param timeout: Seconds to wait at most, ``None`` for no limit.
        :param poll_interval: Seconds between two status reads; ``None`` adapts to the run time.
        :param on_status: Called with the generation after every status read.
        :raises ApimartGenerationFailedError: If it failed.
        :raises ApimartModerationError: If moderation refused it.
        :raises ApimartWaitTimeoutError: If the timeout expired. The generation continues and is charged; call this
            again to resume waiting.
        :raises ApimartStatusUnreadableError: If the status couldn't be read several times in a row.
        """
        wait = Wait.begin(generation_id, modality=modality, timeout=timeout, poll_interval=poll_interval)
        return self.finish(wait, at_once=True, on_status=on_status)

    def with_urls(self, generation: Generation) -> Generation:
        """
        Return a generation whose outputs all have a URL: inline ones are uploaded, which costs nothing.

        :raises ApimartInlineResultError: If an inline output is no image that APIMart accepts as an upload.
        :raises ApimartError: If the upload failed.
        """
        if not any(output.is_inline for output in generation.outputs):
            return generation
        from airflow_provider_apimart.api.inline_outputs import upload_inline_outputs

        wait = Wait.begin(generation.generation_id, modality=generation.modality)
        reading = partial(read_status_with_retries, wait, self.polling_stats.routes, self.status_policy)
        return self.read(lambda: upload_inline_outputs(generation, reading, self.upload_policy))

    def get_unsaved_generations(self, ledger: str) -> list[dict[str, Any]]:
        """
        Return the generations of a batch that were charged and of which files are missing, without a request.

        They are in XCom form: completed generations with the URLs that the batch read, and generations that were
        still running then. Pass them to
        :class:`~airflow_provider_apimart.transfers.apimart_to_object_storage.ApimartToObjectStorageOperator`.

        :param ledger: URI of the batch's ledger.
        :raises ApimartInvalidRequestError: If there is no such ledger or it can't be read.
        """
        from airflow_provider_apimart.batch.unsaved import completed_or_running

        return completed_or_running(ledger)

    def finish(
        self, wait: Wait, *, at_once: bool = False, on_status: Callable[[Generation], None] = lambda _: None
    ) -> Generation:
        """Run a wait to its end; see :meth:`wait_for_generation`."""
        waiting = partial(wait_until_final, wait, self.polling_stats, policy=self.status_policy, on_status=on_status)
        # After a wait that a refused key ended, the current status is unknown.
        reads_at_once = chain([at_once], repeat(True))
        return finished_generation(self.read(lambda: waiting(at_once=next(reads_at_once))))

    @cached_property
    def price_book(self) -> PriceBook:
        """The public prices that this hook has read, each for ten minutes."""
        return PriceBook(self.price_policy)

    def quote(self, modality: Modality | str, payload: Mapping[str, Any]) -> Quote:
        """
        Return what a request will cost at APIMart's public prices. It costs nothing, and the API key isn't sent.

        :param modality: ``"image"``, ``"video"`` or ``"music"``.
        :param payload: Body of the request, as for :meth:`submit_generation`.
        :return: An exact quote, an upper bound, or no quote with the reason, also if the prices can't be read.
        :raises ApimartInvalidRequestError: If the request is invalid.
        """
        return self.run(self.price_book.quote(Modality(modality), build_payload({}, payload, with_files=True)))

    def get_balance(self) -> Balance:
        """
        Return the balance of the API key. It costs nothing.

        :raises ApimartError: If it couldn't be read.
        """
        return self.run(retrying(balance, self.status_policy))

    def list_models(self) -> list[ModelDescription]:
        """
        Return the models that the API key may use, with the parameters that APIMart describes. It costs nothing.

        :return: Empty if the key may use no model.
        :raises ApimartError: If they couldn't be read.
        """
        return list(self.read(lambda: retrying(list_models, self.status_policy)))

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and a sentence about it. It reads the balance, which costs nothing."""
        try:
            left = self.run(retrying(balance, self.connection_test_policy))
        except Exception as error:
            return False, _explained(error)
        if left.remaining is None:
            return True, "APIMart accepts the API key, which has no spending limit of its own."
        if left.remaining <= 0:
            return False, "APIMart accepts the API key, but nothing is left on it. Top up the balance."
        return True, f"APIMart accepts the API key; {written_dollars(left.remaining)} are left on it."

    @cached_property
    def _transport(self) -> RequestsTransport:
        return RequestsTransport(self.settings)


def _explained(error: Exception) -> str:
    if isinstance(error, errors.ApimartServerError) and error.status == HTTPStatus.OK:
        return f"APIMart answered, but could not read the balance: {error}"
    return str(error)
