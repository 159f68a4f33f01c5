"""What a try of a batch was told to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from airflow_provider_apimart.api.poll_schedule import PollSchedule
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.submission import SUBMIT_POLICY
from airflow_provider_apimart.api.upload import UPLOAD_POLICY
from airflow_provider_apimart.api.waiting import STATUS_POLICY
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.durable.decision import OnUnknownOutcome
from airflow_provider_apimart.durable.identity import TaskIdentity


@dataclass(frozen=True)
class BatchPlan:
    """
    What a try of a batch was told to do.

    :param task: What names the task instance.
    :param key_scope: Where an idempotency key sent now protects.
    :param max_in_flight: How many generations run at most at once.
    :param wait_seconds: How long a try waits for each generation, ``None`` for as long as it takes.
    :param max_cost: US dollars at which nothing further is submitted, ``None`` for no limit.
    :param parks: Whether what runs is left to the triggerer once there is nothing else to do.
    :param started_at: Unix time at which the try began to wait.
    :param finished: The generations that are worth a look, ``None`` for all that run; the others stay parked.
    """

    items: Sequence[BatchItem]
    task: TaskIdentity
    key_scope: str
    max_in_flight: int = 100
    schedule: PollSchedule = field(default_factory=PollSchedule)
    wait_seconds: float | None = None
    max_cost: Decimal | None = None
    on_unknown_outcome: OnUnknownOutcome = OnUnknownOutcome.RETRY_SAME_KEY
    parks: bool = False
    finished: frozenset[str] | None = None
    started_at: float = 0.0
    submit_policy: RetryPolicy = SUBMIT_POLICY
    status_policy: RetryPolicy = STATUS_POLICY
    upload_policy: RetryPolicy = UPLOAD_POLICY

    def identity(self, item: BatchItem) -> TaskIdentity:
        """Return what names an item across the tries of the task."""
        return replace(self.task, item=item.id)
