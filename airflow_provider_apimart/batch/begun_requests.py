"""
Requests with which a try of a batch began.

Each time that a deferred task resumes, Airflow renders templates and the operator reads a file of requests again. A
request that has changed by then would be another input, and be paid for at each resumption. So a try continues what it
has begun with the request that it has sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.json_values import JsonObject
from airflow_provider_apimart.api.reference_fields import refused, with_files_renamed
from airflow_provider_apimart.api.reference_file import ReferenceFile
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.upload import ImageFile, Upload
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.item_record import ItemRecord
from airflow_provider_apimart.durable.paid_request import PaidRequest


@dataclass(frozen=True)
class BegunRequests:
    """
    The part of a try that has run before it was deferred.

    :param started_at: Unix time at which the try began.
    :param waited: Ids of the generations that the triggerer has waited for.
    """

    started_at: float
    waited: Collection[str]

    def items(self, items: Sequence[BatchItem], records: Mapping[str, ItemRecord]) -> list[BatchItem]:
        """
        Return the items of a try that resumes: what it has begun with the request that it has sent.

        Items that it has begun and that are no longer requested are added at the end.

        :param items: Those that are requested now.
        :param records: The records of all items.
        """
        asked = {item.id for item in items}
        continued = [self._continued(item, records.get(item.id)) for item in items]
        dropped = {name: record for name, record in records.items() if name not in asked}
        return [*continued, *self._dropped(dropped, items)]

    def _continued(self, item: BatchItem, record: ItemRecord | None) -> BatchItem:
        sent = list(self._requests(record, item.request)) if record else []
        if not sent or item.request.fingerprint in {request.fingerprint for request in sent}:
            return item
        return replace(item, request=sent[-1])

    def _dropped(self, records: Mapping[str, ItemRecord], items: Sequence[BatchItem]) -> Iterator[BatchItem]:
        position = len(items)
        for name, record in records.items() if items else ():
            for request in list(self._requests(record, items[0].request))[-1:]:
                yield BatchItem(name, position, request)
                position += 1

    def _requests(self, record: ItemRecord, known: PaidRequest) -> Iterator[PaidRequest]:
        """
        Go through the requests of an item that this try has begun, the latest last.

        :param known: A request of the batch: all have the same account.
        """
        for attempt in record.all_but(None):
            if self._is_begun(attempt) and attempt.modality:
                request = _request(known, attempt.modality, attempt.request)
                # Version 1.0.0 recorded a part of the request.
                if request.fingerprint == attempt.fingerprint:
                    yield request
        for fact in record.reused.values():
            if fact.at >= self.started_at:
                yield _request(known, fact.details["modality"], fact.details["request"])

    def _is_begun(self, attempt: Attempt) -> bool:
        times = [*attempt.sends.values(), *(fact.at for fact in attempt.ended.values())]
        return attempt.generation_id in self.waited or any(at >= self.started_at for at in times)


def _request(known: PaidRequest, modality: str, payload: JsonObject) -> PaidRequest:
    files: dict[str, ReferenceFile] = {}

    def find(place: str, name: Any) -> Any:
        sha256 = str(name).removeprefix("sha256:")
        files[name] = known.files.get(name) or _UnnamedFile(sha256, "", ImageFile(place, place, 0, open=_nothing))
        return name

    return PaidRequest(known.account, Modality(modality), with_files_renamed(payload, find), files)


def _nothing() -> Any:
    raise FileNotFoundError


class _UnnamedFile(ReferenceFile):
    """A file that a request refers to and that no request names any more, so that its path isn't known."""

    def upload(self, policy: RetryPolicy) -> Flow[Upload]:
        """
        Refuse to upload the file.

        :raises ApimartInvalidRequestError: In any case.
        """
        raise refused(f"{self.image.name}: the file isn't named by the batch's requests any more")
