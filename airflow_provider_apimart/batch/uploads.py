"""Uploads of a batch: each distinct file once, however many items and tries refer to it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.contract import UPLOAD_LIFETIME
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.reference_file import ReferenceFile
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.item_record import ItemRecord
from airflow_provider_apimart.durable.uploads import KeptUpload, UploadsInMemory, upload_unless_kept

# A fact about a submit is noted right after the uploads that it names; this much earlier they may have been made.
_BEFORE_SENDING = 3600.0


class BatchUploads:
    """
    Uploads the files of items. A file that several items refer to is uploaded once.

    :param records: The records of earlier tries: their submits have the URLs of uploaded files.
    :param note_upload: Called in a thread with the URL and the SHA-256 of each file, ``None`` if nobody wants to know.
    """

    def __init__(
        self,
        transport: AiohttpTransport,
        policy: RetryPolicy,
        records: Iterable[ItemRecord],
        note_upload: Callable[[str, str], None] | None = None,
    ) -> None:
        self.registry = UploadsInMemory()
        self._transport = transport
        self._policy = policy
        self._note_upload = note_upload
        self._noted: set[str] = set()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        for record in records:
            for attempt in record.attempts.values():
                self._know(attempt)

    async def make(self, item: BatchItem) -> None:
        """
        Upload the files of an item that aren't uploaded yet.

        :raises ApimartError: If it couldn't be uploaded. Nothing was charged.
        """
        for file in item.request.files.values():
            async with self._locks[file.sha256]:
                url = await self._transport.run_with_current_key(partial(self._upload, file))
                if self._note_upload and url not in self._noted:
                    self._noted.add(url)
                    await asyncio.to_thread(self._note_upload, url, file.sha256)

    def _upload(self, file: ReferenceFile) -> Flow[str]:
        return upload_unless_kept(file, self.registry, self._policy, time.time)

    def _know(self, attempt: Attempt) -> None:
        expires_at = attempt.first_sent - _BEFORE_SENDING + UPLOAD_LIFETIME.total_seconds()
        for name, url in attempt.uploads.items():
            sha256 = name.removeprefix("sha256:")
            known = self.registry.get(sha256)
            if known is None or (known.url == url and known.expires_at > expires_at):
                self.registry.put(sha256, KeptUpload(url, expires_at))
