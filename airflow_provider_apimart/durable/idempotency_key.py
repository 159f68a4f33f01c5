"""Idempotency key of a submit: how it is derived, where it holds, and for how long."""

from __future__ import annotations

from airflow_provider_apimart.api.contract import IDEMPOTENCY_KEY_LIFETIME
from airflow_provider_apimart.durable.paid_request import digest
from airflow_provider_apimart.durable.task_identity import TaskIdentity

# A request needs some time to arrive, and clocks differ.
_KEY_MARGIN_SECONDS = 300.0


def idempotency_key(task: TaskIdentity, fingerprint: str, attempt: int) -> str:
    """
    Return the key of one attempt at one paid generation.

    It is the same in every try of the task, in every process and on every version of Airflow. It never depends on the
    number of the try.

    :param attempt: 1, and one more after each generation that failed at APIMart.
    """
    identity = [task.dag_id, task.run_id, task.task_id, task.map_index, task.clear_marker, task.item]
    return f"airflow-{digest([*identity, fingerprint, attempt])}"


def key_scope(base_url: str, api_key: str) -> str:
    """
    Return a digest of the API key and the host. APIMart keeps idempotency keys for each API key and endpoint.

    Its eight digits are too few to find the API key by.
    """
    return digest([base_url, api_key])[:8]


def key_is_kept(sent_at: float | None, now: float) -> bool:
    """
    Whether APIMart still keeps a key whose first unanswered POST was sent at some time.

    Not if that time is in the future: a clock was wrong, so the key's age isn't known.

    :param sent_at: Unix time, ``None`` if no POST is unanswered: then nothing depends on the key.
    """
    if sent_at is None:
        return True
    return -_KEY_MARGIN_SECONDS < now - sent_at < IDEMPOTENCY_KEY_LIFETIME.total_seconds() - _KEY_MARGIN_SECONDS
