"""Points between two steps of a paid generation at which a process can be made to kill itself."""

from __future__ import annotations

import glob
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from tests.airflow_versions import running

CrashPoint = Callable[[], None]


def kill() -> None:
    """Die as a process does whose machine is gone: nothing is cleaned up, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def send_later(name: str, seconds: float, once: str | None = None) -> None:
    """
    Let a signal strike this process wherever it is then.

    :param name: Such as ``SIGKILL``.
    :param seconds: When, from now on.
    :param once: A pattern of paths. If given, the seconds count from the moment when there is such a file: how long a
        process takes to get there depends on the machine.
    """

    def send() -> None:
        while once and not glob.glob(once):
            time.sleep(0.02)
        time.sleep(seconds)
        os.kill(os.getpid(), signal.Signals[name])

    threading.Thread(target=send, daemon=True).start()


def _before(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def killing(*args: Any, **kwargs: Any) -> Any:
        if when(*args, **kwargs):
            kill()
        return original(*args, **kwargs)

    setattr(owner, name, killing)


def _after(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def killing(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if when(*args, **kwargs):
            kill()
        return result

    setattr(owner, name, killing)


def _kind(kind: str) -> Callable[..., bool]:
    return lambda record, noted, **_: noted == kind


def _noting(strike: Callable[..., None], kind: str) -> None:
    """Strike where a fact of some kind is noted, wherever the record is kept."""
    from airflow_provider_apimart.durable.file_record import FileRecord
    from airflow_provider_apimart.durable.record import StateStoreRecord

    for record in (StateStoreRecord, FileRecord):
        strike(record, "note", _kind(kind))


def _key(key: str) -> Callable[..., bool]:
    return lambda ti, key_=None, value=None, **kwargs: (key_ or kwargs.get("key")) == key


def _ti() -> Any:
    if running < (3, 0):
        from airflow.models import TaskInstance

        return TaskInstance
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance


def _before_record() -> None:
    _noting(_before, "sending")


def _record_written() -> None:
    _noting(_after, "sending")


def _sent(path: str) -> None:
    """Die when the whole body was handed to the network and the service has had time to take it."""
    from airflow_provider_apimart.api.requests_transport import RequestsTransport

    original = RequestsTransport._send

    def sending(self: Any, request: Any, body: Any) -> Any:
        if request.path == path:
            body.read = _dying_at_the_end(body.read)
        return original(self, request, body)

    RequestsTransport._send = sending  # type: ignore[method-assign]


def _dying_at_the_end(original: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def read(size: int = -1) -> bytes:
        block = original(size)
        if not block:
            # The kernel still delivers what was written; the service takes the job while this process dies.
            time.sleep(0.3)
            kill()
        return block

    return read


def _answered(path: str) -> None:
    """Die when the reply was read."""
    from airflow_provider_apimart.api.requests_transport import RequestsTransport

    _after(RequestsTransport, "_send", lambda self, request, body: request.path == path)


def _upload_registered() -> None:
    _noting(_after, "uploaded")


def _before_id_written() -> None:
    _noting(_before, "submitted")


def _id_written() -> None:
    _noting(_after, "submitted")


def _id_pushed() -> None:
    _after(_ti(), "xcom_push", _key("generation_id"))


def _deferring() -> None:
    from airflow_provider_apimart.operators.generation import ApimartGenerationOperator

    _before(ApimartGenerationOperator, "defer")


def _deferred() -> None:
    """Die on the worker once the deferral is in the database."""
    if running < (3, 0):
        _after(_ti(), "defer_task")
        return
    from airflow.sdk.execution_time import task_runner

    _before(task_runner, "finalize", lambda ti, state, *_: state == "deferred")


def _status_read() -> None:
    """Die, worker or triggerer, right after the first status read."""
    from airflow_provider_apimart.api.waiting import Wait

    _before(Wait, "decide")


def _event_ready() -> None:
    """Die in the triggerer when the wait is over, before the event is in the database."""
    from tests.lab import actions

    _before(actions, "submit_event")


def _event_submitted() -> None:
    """Die after the event is in the database, before any worker resumes the task."""
    from tests.lab import actions

    _after(actions, "submit_event")


def _resuming() -> None:
    from airflow_provider_apimart.operators.generation import ApimartGenerationOperator

    _before(ApimartGenerationOperator, "execute_complete")


def _returning() -> None:
    """Die when the worker has the result, before anything of it is in XCom."""
    from airflow_provider_apimart.operators.generation import ApimartGenerationOperator

    _before(ApimartGenerationOperator, "_deliver")


def _half_in_xcom() -> None:
    """Die between two keys of the result."""
    _after(_ti(), "xcom_push", _key("url"))


def _in_xcom() -> None:
    """Die when all of the result is in XCom, before the task counts as successful."""
    if running < (3, 0):
        _after(_ti(), "xcom_push", _key("return_value"))
        return
    from airflow.sdk.execution_time import task_runner

    _after(task_runner, "_push_xcom_if_needed")


def _success_stored() -> None:
    """Die when the task counts as successful, before the record has that it was delivered."""
    _noting(_before, "delivered")


def _delivered() -> None:
    _noting(_after, "delivered")


_UPLOAD = "/v1/uploads/images"
_SUBMIT = "/v1/images/generations"

_BEFORE_THE_WAIT: dict[str, CrashPoint] = {
    "before the record": _before_record,
    "record written": _record_written,
    "POST sent": lambda: _sent(_SUBMIT),
    "reply read": lambda: _answered(_SUBMIT),
    "before the id is written": _before_id_written,
    "id written": _id_written,
    "id in XCom": _id_pushed,
}
_IN_THE_TRIGGERER: dict[str, CrashPoint] = {
    "event ready": _event_ready,
    "event written": _event_submitted,
    "resuming": _resuming,
}
_AFTER_THE_WAIT: dict[str, CrashPoint] = {
    "returning": _returning,
    "result half in XCom": _half_in_xcom,
    "result in XCom": _in_xcom,
    "success stored": _success_stored,
    "delivery recorded": _delivered,
}
_DEFERRING: dict[str, CrashPoint] = {"deferring": _deferring, "deferral written": _deferred}
_READING: dict[str, CrashPoint] = {"status read": _status_read}

WAITING = {**_BEFORE_THE_WAIT, **_READING, **_AFTER_THE_WAIT}
DEFERRED = {**_BEFORE_THE_WAIT, **_DEFERRING, **_READING, **_IN_THE_TRIGGERER, **_AFTER_THE_WAIT}
UNANSWERED_UPLOADS = ("upload sent", "upload's reply read")
_UPLOADS: dict[str, CrashPoint] = {
    "upload sent": lambda: _sent(_UPLOAD),
    "upload's reply read": lambda: _answered(_UPLOAD),
    "upload registered": _upload_registered,
}
UPLOADING = {**_UPLOADS, **WAITING}


def install(crash: str | None) -> None:
    """Arm a crash point in this process."""
    if crash is not None:
        (DEFERRED | UPLOADING)[crash]()
