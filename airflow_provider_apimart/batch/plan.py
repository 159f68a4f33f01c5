"""Plan of one try of a batch."""

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
from airflow_provider_apimart.checks.check import Check
from airflow_provider_apimart.durable.decision import OnUnknownOutcome
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.quotes.price_book import PRICE_POLICY


@dataclass(frozen=True)
class BatchPlan:
    """
    Plan of one try of a batch: the items and the options of the operator.

    :param task: The identity of the task instance.
    :param max_in_flight: The number of generations that run at most at once.
    :param wait_seconds: Seconds that a try waits at most for each generation, ``None`` for no limit.
    :param item_retries: The number of times that an item that failed at APIMart is submitted again within the try.
    :param max_cost: US dollars at which nothing further is submitted, ``None`` for no limit.
    :param check: What is done about items that contradict the descriptions of their models.
    :param parks: Whether running generations are left to the triggerer once there is nothing else to do.
    :param started_at: Unix time at which the try began to wait.
    :param task_try: ``ti.try_number``, for people.
    :param finished: Ids of the generations whose status is read, ``None`` for all running ones. The triggerer keeps
        waiting for the others.
    :param waited: Ids of the generations that the triggerer has waited for.
    """

    items: Sequence[BatchItem]
    task: TaskIdentity
    max_in_flight: int = 100
    schedule: PollSchedule = field(default_factory=PollSchedule)
    wait_seconds: float | None = None
    item_retries: int = 0
    max_cost: Decimal | None = None
    on_unknown_outcome: OnUnknownOutcome = OnUnknownOutcome.RETRY_SAME_KEY
    check: Check = Check.OFF
    parks: bool = False
    finished: frozenset[str] | None = None
    waited: frozenset[str] = frozenset()
    started_at: float = 0.0
    task_try: int = 1
    submit_policy: RetryPolicy = SUBMIT_POLICY
    status_policy: RetryPolicy = STATUS_POLICY
    upload_policy: RetryPolicy = UPLOAD_POLICY
    price_policy: RetryPolicy = PRICE_POLICY

    def identity(self, item: BatchItem) -> TaskIdentity:
        """Return the identity of an item, which is the same in every try of the task."""
        return replace(self.task, item=item.id)
