"""
A model of what may be billed, held against the sandbox while tries, crashes, clears and faults interleave at random.

``make sweep`` runs it for many more steps.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow, Pause
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.requests_transport import RequestsTransport
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.api.status_request import StatusRoutes
from airflow_provider_apimart.api.waiting import Wait, read_status_with_retries
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.file_record import FileRecord
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.idempotency_key import key_scope
from airflow_provider_apimart.durable.paid_once import PaidOnce, note_delivery
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.durable.record import Record, StateStoreRecord
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.hooks.reference_files import ReferenceFiles
from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from tests.airflow_versions import needs
from tests.durable.stores import StateStore
from tests.lab.references import write_references

pytestmark = pytest.mark.long

QUICK = RetryPolicy(max_requests=3, max_unknown=2, first=0.0, longest=0.0)
FAULTS = (
    "lost_answer",
    "truncated",
    "reset",
    "garbage",
    "html_error",
    "server_error",
    "bad_gateway",
    "unavailable",
    "idempotency_in_progress",
    "idempotency_unavailable",
    "idempotency_result_indeterminate",
    "rate_limited",
    "get_channel_failed",
    "insufficient_balance",
    "unauthorized",
    "closed_before_reading",
)
FOREVER = 1e9


class Crash(BaseException):
    """The process is dead; nothing catches this."""


class Process:
    """
    One process: everything it does passes here, so that it can die before and after each of its steps.

    :param steps: How many steps it still lives, ``None`` for as long as it likes.
    """

    def __init__(self, transport: RequestsTransport, steps: int | None) -> None:
        self._transport = transport
        self._steps = steps

    def step(self) -> None:
        if self._steps is not None:
            self._steps -= 1
            if self._steps < 0:
                raise Crash

    def run(self, flow: Flow[Any]) -> Any:
        try:
            asked = next(flow)
            while True:
                self.step()
                try:
                    reply = None if isinstance(asked, Pause) else self._transport._perform(asked)
                except errors.ApimartError as error:
                    self.step()
                    asked = flow.throw(error)
                else:
                    self.step()
                    asked = flow.send(reply)
        except StopIteration as finished:
            return finished.value


class Store(StateStore):
    """Airflow's state store as one process sees it, which may die around every write."""

    def __init__(self, rows: dict[str, str], process: Process) -> None:
        super().__init__(rows)
        self._process = process

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._process.step()
        super().set(key, value)
        self._process.step()


class Disk(Folder):
    """A folder as one process sees it, which may die around every write."""

    def __init__(self, folder: Folder, process: Process) -> None:
        super().__init__(folder.path)
        self._process = process

    def write(self, name: str, content: bytes) -> None:
        self._process.step()
        super().write(name, content)
        self._process.step()


class PaidGenerations(RuleBasedStateMachine):
    """
    One task instance in the hands of bad luck and of people.

    ``permitted`` counts what may be billed: one for each input that a try has seen after another, and one more for
    each clear by a person of a task that had delivered or had asked them to decide. Crashes, retries and faults never
    add to it.
    """

    sandbox: Sandbox
    folder: Path
    in_files = False
    faults_on: tuple[str, ...] = ("submit", "status")

    def __init__(self) -> None:
        super().__init__()
        self.sandbox.reset()
        self.transport = RequestsTransport(ClientSettings(self.sandbox.api_key, self.sandbox.base_url))
        self.routes = StatusRoutes()
        self.rows: dict[str, str] = {}
        self.tries = 0
        self.run_id = uuid.uuid4().hex
        self.marker = 3
        self.prompt = "a cat"
        self.tried_prompt: str | None = None
        self.permitted = 0
        self.delivered: list[str] = []
        self.ended: str | None = None

    def _request(self) -> PaidRequest:
        payload: Mapping[str, Any] = {"model": "gemini-2.5-flash-image-preview", "prompt": self.prompt}
        return PaidRequest("apimart_default", Modality.IMAGE, payload)

    @property
    def _task(self) -> TaskIdentity:
        return TaskIdentity("dag", self.run_id, "task", -1, self.marker)

    def _record(self, process: Process) -> Record:
        if not self.in_files:
            return StateStoreRecord(Store(self.rows, process), self.tries)
        record = FileRecord(str(self.folder / "records"), self._task)
        files = record._opened()
        files.folder = Disk(files.folder, process)
        return record

    def _paid_once(self, process: Process) -> PaidOnce:
        return PaidOnce(
            task=self._task,
            request=self._request(),
            record=self._record(process),
            key_scope=key_scope(self.sandbox.base_url, self.sandbox.api_key),
            routes=self.routes,
            submit_policy=QUICK,
            status_policy=QUICK,
            upload_policy=QUICK,
        )

    def _try(self, process: Process, patient: bool) -> str:
        """Do what the operator does in one try, and return how it ended."""
        paid = self._paid_once(process)
        generation: Generation = process.run(paid.obtain())
        process.step()
        if patient:
            self.sandbox.complete_all()
        wait = Wait(str(generation.generation_id), started_at=0)
        seen: Generation = process.run(read_status_with_retries(wait, self.routes, QUICK))
        if seen.status is GenerationStatus.FAILED:
            raise errors.ApimartGenerationFailedError("failed", generation_id=seen.generation_id)
        if seen.status is GenerationStatus.RUNNING:
            return "timed out"
        process.step()
        # From here on Airflow has the success, whatever becomes of the process.
        self.delivered.append(str(seen.generation_id))
        with suppress(Crash):
            note_delivery(paid.record, seen.generation_id, self.marker)
        return "delivered"

    @precondition(lambda self: self.ended not in ("delivered", "stopped", "refused"))
    @rule(lives=st.none() | st.integers(0, 14), patient=st.booleans())
    def run_a_try(self, lives: int | None, patient: bool) -> None:
        """Let a try run, perhaps to its death."""
        self.tries += 1
        if self.prompt != self.tried_prompt:
            self.permitted += 1
            self.tried_prompt = self.prompt
        try:
            self.ended = self._try(Process(self.transport, lives), patient)
        except Crash:
            self.ended = "crashed"
            self.note_a_crash()
        except errors.ApimartIndeterminateOutcomeError:
            self.ended = "stopped"
        except AirflowFailException:
            self.ended = "refused"
        except errors.ApimartError:
            self.ended = "failed"

    def note_a_crash(self) -> None:
        """Permit what a crash may cost: nothing."""

    def _attempt(self) -> Attempt | None:
        """Return what the next try would find."""
        return self._record(Process(self.transport, None)).read().latest(self._request().fingerprint)

    @precondition(lambda self: self.ended is not None)
    @rule()
    def clear(self) -> None:
        """Clear the task as a person does."""
        # A success whose delivery was not noted is returned once more.
        attempt = self._attempt()
        if self.ended == "stopped" or (attempt and attempt.delivered is not None):
            self.permitted += 1
        self.marker += 4
        self.ended = None

    @precondition(lambda self: self.ended not in ("delivered", "stopped"))
    @rule(prompt=st.sampled_from(["a cat", "a dog", "a hen"]))
    def change_the_input(self, prompt: str) -> None:
        """Let the next try have another input."""
        self.prompt = prompt

    @rule(kind=st.sampled_from(FAULTS), times=st.integers(1, 4), data=st.data())
    def inject_a_fault(self, kind: str, times: int, data: st.DataObject) -> None:
        """Let the next requests meet a fault."""
        route = data.draw(st.sampled_from(self.faults_on))
        self.sandbox.inject(Fault(kind, on=route, times=times, retry_after=0.0))

    @rule()
    def end_the_faults(self) -> None:
        """Let nothing go wrong for a while."""
        self.sandbox.clear_faults()

    @rule()
    def fail_upstream(self) -> None:
        """Let what runs at the service fail, which refunds it."""
        for generation in self.sandbox.generations:
            if generation.completed is None:
                self.sandbox.fail(generation.generation_id)

    @rule()
    def complete_upstream(self) -> None:
        """Let what runs at the service finish."""
        self.sandbox.complete_all()

    @invariant()
    def billed_is_permitted(self) -> None:
        """Never is more billed than people have asked for."""
        assert self.sandbox.billed <= self.permitted

    def teardown(self) -> None:
        """Let one clean try follow: it must deliver, and nothing that completed may be out of reach."""
        self.sandbox.clear_faults()
        if self.ended in ("stopped", "refused"):
            self.clear()
        # A generation that failed upstream takes one more try.
        for _ in range(2):
            if self.ended != "delivered":
                self.run_a_try(None, True)
        assert self.ended in ("delivered", "stopped")
        assert self.sandbox.billed <= self.permitted
        if self.ended == "delivered":
            self._nothing_is_out_of_reach()
        assert not self._a_key_came_with_another_body()
        self.transport.session.close()

    def _a_key_came_with_another_body(self) -> bool:
        return any((seen.status, seen.fault) == (409, None) for seen in self.sandbox.requests)

    def _nothing_is_out_of_reach(self) -> None:
        kept = [generation for generation in self.sandbox.generations if not generation.refunded]
        of_this_input = [each.generation_id for each in kept if each.payload["prompt"] == self.prompt]
        assert self.delivered[-1] in of_this_input
        # What people left behind by changing the input to and fro, or by deciding to pay anew.
        assert len(set(of_this_input) - set(self.delivered)) < self.permitted


class PaidGenerationsInFiles(PaidGenerations):
    """The same below Airflow 3.3, where the record is in files."""

    in_files = True


class PaidGenerationsWithFiles(PaidGenerations):
    """The same with files as references: each upload has another URL, and nothing of that may cost anything."""

    faults_on = ("submit", "status", "upload")

    def _request(self) -> PaidRequest:
        references = write_references(self.folder)
        payload = {
            "model": "gemini-2.5-flash-image-preview",
            "prompt": self.prompt,
            "image_urls": [references["reference"], {"url": references["other"]}],
        }
        return ReferenceFiles().request("apimart_default", Modality.IMAGE, payload)


class PaidGenerationsWithFilesInFiles(PaidGenerationsWithFiles):
    """The same below Airflow 3.3."""

    in_files = True


class PaidGenerationsWithoutKey(PaidGenerations):
    """The same with a service that ignores the key: only a crash before the id is recorded may cost one more."""

    faults_on = ("status",)

    def __init__(self) -> None:
        super().__init__()
        self.sandbox.configure(ignore_idempotency=True)

    def note_a_crash(self) -> None:
        """Permit what a crash after the record and before the id may have left: a generation that no one knows."""
        attempt = self._attempt()
        if attempt and attempt.outcome_is_unknown:
            self.permitted += 1


class PaidGenerationsWithoutKeyInFiles(PaidGenerationsWithoutKey):
    """The same with a record in files."""

    in_files = True


MACHINES = (
    PaidGenerations,
    PaidGenerationsInFiles,
    PaidGenerationsWithFiles,
    PaidGenerationsWithFilesInFiles,
    PaidGenerationsWithoutKey,
    PaidGenerationsWithoutKeyInFiles,
)


@pytest.mark.parametrize(
    "machine", [pytest.param(each, marks=[] if each.in_files else [needs("state store")]) for each in MACHINES]
)
def test_billed_never_exceeds_what_people_asked_for(machine: type[PaidGenerations], tmp_path: Path) -> None:
    long = os.environ.get("APIMART_SWEEP") == "1"
    effort = settings(
        max_examples=600 if long else 60,
        stateful_step_count=50 if long else 40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not long,
    )
    with Sandbox(SandboxSettings(seconds=FOREVER, jitter=0, kept_requests=100, balance=None)) as sandbox:
        machine.sandbox = sandbox
        machine.folder = tmp_path
        machine.TestCase.settings = effort
        result = machine.TestCase("runTest").run()
    assert result is not None
    assert result.wasSuccessful(), "\n".join(trace for _, trace in [*result.failures, *result.errors])
