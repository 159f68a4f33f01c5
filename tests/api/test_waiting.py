from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status_request import StatusRoutes, read_status
from airflow_provider_apimart.api.wait_event import decision_from_event, to_event
from airflow_provider_apimart.api.waiting import (
    STATUS_POLICY,
    Verdict,
    Wait,
    finished_generation,
    read_status_with_retries,
    wait_until_final,
)

from .driver import Clock, Held, error_reply, reply, run_flow
from .shapes import RECORDED_COMPLETED, RECORDED_FAILED, RECORDED_PENDING, TASK_ID, URL

PENDING, DONE, FAILED = reply(RECORDED_PENDING), reply(RECORDED_COMPLETED), reply(RECORDED_FAILED)
NOT_FOUND = error_reply(404, "task not found", 404)
DOWN = errors.ApimartServerError("No whole reply came back: reset")


def waited(*answers: Any, clock: Clock, at_once: bool = True, **wait: Any) -> Held:
    waiting = Wait(TASK_ID, started_at=clock.now, **{"modality": Modality.IMAGE, **wait})
    flow = wait_until_final(waiting, PollingStats(), at_once=at_once, clock=clock)
    return run_flow(flow, answers, clock=clock)


def test_it_reads_until_it_is_completed(clock: Clock) -> None:
    held = waited(PENDING, PENDING, DONE, clock=clock)
    assert held.value.verdict is Verdict.COMPLETED
    assert held.value.generation.outputs[0].url == URL
    assert [request.path for request in held.requests] == [f"/v1/tasks/{TASK_ID}?language=en"] * 3


def test_it_knows_the_modality_and_the_model(clock: Clock) -> None:
    generation = waited(DONE, clock=clock, model="m").value.generation
    assert (generation.modality, generation.model) == (Modality.IMAGE, "m")


def test_a_failure_ends_it(clock: Clock) -> None:
    held = waited(PENDING, FAILED, clock=clock)
    assert held.value.verdict is Verdict.FAILED
    assert held.value.generation.failure.message == "upstream error"


@pytest.mark.parametrize(("at_once", "pauses"), [(True, []), (False, [4.0])])
def test_the_first_read_is_at_once_or_after_a_pause(
    at_once: bool, pauses: list[float], clock: Clock, draw: Any
) -> None:
    draw(0.0)
    assert waited(DONE, clock=clock, at_once=at_once).pauses == pauses


def test_every_read_is_logged(clock: Clock) -> None:
    seen: list[str] = []
    wait = Wait(TASK_ID, started_at=clock.now)
    flow = wait_until_final(
        wait,
        PollingStats(),
        at_once=True,
        clock=clock,
        on_status=lambda generation: seen.append(generation.status_word),
    )
    run_flow(flow, [PENDING, DONE], clock=clock)
    assert seen == ["pending", "completed"]


@pytest.mark.parametrize("timeout", [0.0, 1.0, 10.0, 100.0, 3600.0])
def test_the_last_read_falls_on_the_deadline(timeout: float, clock: Clock) -> None:
    began = clock.now
    held = waited(PENDING, clock=clock, deadline=began + timeout)
    assert held.value.verdict is Verdict.DEADLINE_PASSED
    assert held.value.generation.generation_id == TASK_ID
    assert clock.now == pytest.approx(began + timeout)


def test_a_generation_that_is_done_at_the_deadline_is_done(clock: Clock) -> None:
    assert waited(DONE, clock=clock, deadline=clock.now - 5).value.verdict is Verdict.COMPLETED


def test_a_wait_that_was_taken_up_again_keeps_its_interval(clock: Clock, draw: Any) -> None:
    draw(0.0)
    wait = Wait(TASK_ID, started_at=clock.now - 500.0)
    held = run_flow(wait_until_final(wait, PollingStats(), clock=clock), [DONE], clock=clock)
    assert held.pauses == [50.0]


def test_a_fixed_interval_is_kept_but_for_its_phase(clock: Clock, draw: Any) -> None:
    draw(0.5)
    held = waited(PENDING, PENDING, DONE, clock=clock, poll_interval=7.0)
    assert held.pauses == [3.5, 7.0]


def finished(**told: Any) -> Any:
    return reply({"code": 200, "data": {"status": "completed", **told}})


def learnt(*answers: Any, clock: Clock, **wait: Any) -> list[float]:
    polling_stats = PollingStats()
    waiting = Wait(TASK_ID, **{"started_at": clock.now, "model": "m", **wait})
    run_flow(wait_until_final(waiting, polling_stats, at_once=True, clock=clock), answers, clock=clock, takes=8.0)
    return list(polling_stats.run_times.of("m"))


def test_how_long_it_took_is_remembered_as_the_service_reports_it(clock: Clock) -> None:
    assert learnt(PENDING, finished(created=2000, completed=2009), clock=clock, started_at=900.0) == [108.0]
    assert learnt(finished(created=2000, completed=2009), clock=clock, started_at=900.0) == [9.0]


def test_how_long_it_took_is_else_between_the_last_two_reads(clock: Clock) -> None:
    (took,) = learnt(PENDING, finished(), clock=clock)
    assert took == pytest.approx((8.0 + clock.now - 1000.0) / 2)


def test_a_failed_generation_teaches_nothing(clock: Clock) -> None:
    assert learnt(FAILED, clock=clock) == []


def test_what_was_learnt_decides_the_next_read(clock: Clock, draw: Any) -> None:
    draw(0.0)
    polling_stats = PollingStats()
    for _ in range(20):
        polling_stats.run_times.note("m", 50.0)
    wait = Wait(TASK_ID, started_at=clock.now, model="m")
    held = run_flow(wait_until_final(wait, polling_stats, clock=clock), [DONE], clock=clock)
    assert held.pauses == [50.0]


def test_a_generation_that_runs_for_long_already_is_looked_at_accordingly(clock: Clock, draw: Any) -> None:
    draw(0.0)
    running = reply({"code": 200, "data": {"status": "processing", "created": clock.now - 300.0}})
    assert waited(running, DONE, clock=clock).pauses == [30.0]


@pytest.mark.parametrize(("run", "most"), [(30, 22), (120, 38), (900, 62), (7200, 170)])
def test_requests_stay_few(run: int, most: int, clock: Clock) -> None:
    held = waited(PENDING, clock=clock, deadline=clock.now + run)
    assert len(held.requests) <= most


def test_a_clock_that_went_back_does_no_harm() -> None:
    generation = Generation(TASK_ID, GenerationStatus.RUNNING, "pending")
    wait = Wait(TASK_ID, started_at=1000.0, deadline=2000.0)
    assert wait.decide(generation, now=10.0).verdict is Verdict.POLL_AGAIN
    assert wait.pause(generation, PollingStats(), now=10.0, draw=0.5) == 4.0


BLIPS: dict[str, Any] = {
    "no reply": DOWN,
    "unreached": errors.ApimartConnectionError("APIMart couldn't be reached"),
    "429": error_reply(429, "x", 429, Retry_After="1"),
    "500": error_reply(500),
    "502 html": reply(b"<html>bad gateway</html>", 502),
    "503": error_reply(503),
    "408": error_reply(408),
    "409": error_reply(409),
    "400 channel": error_reply(400, "x", "get_channel_failed"),
    "error in 200": reply({"error": {"message": "x", "code": "upstream_error"}}),
    "success false": reply({"success": False, "message": "x"}),
    "no json": reply(b"\xff\xfe"),
    "no status": reply({"code": 200, "data": {"id": TASK_ID}}),
    "null": reply(None),
    "500 as code in 200": reply({"code": 500, "message": "x"}),
}


@pytest.mark.parametrize("what", BLIPS)
def test_a_few_failed_reads_are_survived(what: str, clock: Clock) -> None:
    held = waited(PENDING, *[BLIPS[what]] * 4, PENDING, *[BLIPS[what]] * 4, DONE, clock=clock)
    assert held.error is None
    assert held.value.verdict is Verdict.COMPLETED
    assert len(held.requests) == 11


@pytest.mark.parametrize("what", [name for name in BLIPS if name != "429"])
def test_too_many_failed_reads_keep_the_generation(what: str, clock: Clock) -> None:
    held = waited(BLIPS[what], clock=clock)
    assert type(held.error) is errors.ApimartStatusUnreadableError
    assert held.error.generation_id == TASK_ID
    assert len(held.requests) == STATUS_POLICY.max_requests


ENDS: dict[str, tuple[Any, type[errors.ApimartError]]] = {
    "401": (error_reply(401, "invalid API key", ""), errors.ApimartAuthenticationError),
    "402": (error_reply(402), errors.ApimartBalanceError),
    "403": (error_reply(403), errors.ApimartPermissionError),
}
# A route that answers like this does not know the generation, perhaps only for a moment.
MISSING: dict[str, tuple[Any, type[errors.ApimartError]]] = {
    "404": (NOT_FOUND, errors.ApimartGenerationNotFoundError),
    "400": (error_reply(400, "task not found"), errors.ApimartGenerationNotFoundError),
    "410": (error_reply(410), errors.ApimartGenerationNotFoundError),
    "405": (error_reply(405), errors.ApimartGenerationNotFoundError),
    "404 in 200": (reply({"code": 404, "message": "task not found"}), errors.ApimartGenerationNotFoundError),
}


@pytest.mark.parametrize("what", ENDS)
def test_what_is_no_blip_ends_the_wait_at_once(what: str, clock: Clock) -> None:
    answer, kind = ENDS[what]
    held = waited(PENDING, answer, clock=clock)
    assert type(held.error) is kind
    assert held.error.generation_id == TASK_ID
    assert len(held.requests) <= 3


FOREIGN = {
    "404 html": reply(b"<html>404</html>", 404),
    "403 html": reply(b"<html>Just a moment...</html>", 403),
    "307": reply(b"", 307, Location="https://elsewhere"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_reply_that_is_not_apimarts_is_a_blip_that_ends_the_wait_only_if_it_stays(what: str, clock: Clock) -> None:
    once = waited(PENDING, FOREIGN[what], FOREIGN[what], DONE, clock=clock)
    assert once.error is None
    stays = waited(*[FOREIGN[what]] * 999, clock=clock)
    assert type(stays.error) is errors.ApimartStatusUnreadableError
    assert stays.error.generation_id == TASK_ID


@pytest.mark.parametrize("what", MISSING)
def test_what_goes_missing_for_a_moment_is_waited_for(what: str, clock: Clock) -> None:
    answer, _ = MISSING[what]
    held = waited(PENDING, answer, answer, answer, DONE, clock=clock)
    assert held.error is None


@pytest.mark.parametrize("what", MISSING)
def test_a_generation_that_stays_missing_ends_the_wait_when_it_is_no_longer_new(what: str, clock: Clock) -> None:
    answer, kind = MISSING[what]
    submitted = clock.now
    held = waited(*[answer] * 999, clock=clock)
    assert type(held.error) is kind
    assert held.error.generation_id == TASK_ID
    assert 120 <= clock.now - submitted <= 120 + STATUS_POLICY.longest


@given(missing_for=st.floats(0, 119), age=st.floats(0, 119), at_once=st.booleans())
def test_a_new_generation_may_be_missing_for_two_minutes(missing_for: float, age: float, at_once: bool) -> None:
    clock = Clock()
    wait = Wait.begin(TASK_ID, submitted=clock.now - age, now=clock.now)

    def answers() -> Iterator[Any]:
        while True:
            yield NOT_FOUND if clock.now - wait.started_at < missing_for else DONE

    flow = wait_until_final(wait, PollingStats(), at_once=at_once, clock=clock)
    assert run_flow(flow, answers(), clock=clock).value.verdict is Verdict.COMPLETED


@given(age=st.floats(120, 1e7))
def test_an_old_generation_that_is_missing_is_looked_for_a_few_times(age: float) -> None:
    clock = Clock(1e9)
    wait = Wait.begin(TASK_ID, submitted=clock.now - age, modality="image", now=clock.now)
    held = run_flow(read_status_with_retries(wait, StatusRoutes(), clock=clock), [NOT_FOUND], clock=clock)
    assert type(held.error) is errors.ApimartGenerationNotFoundError
    assert len(held.requests) == 2 * STATUS_POLICY.max_requests


def test_a_wait_is_the_same_after_its_way_through_a_trigger() -> None:
    wait = Wait.begin(TASK_ID, submitted=1.0, timeout=timedelta(hours=1), modality="video", model="m", now=5.0)
    assert wait.deadline == 3605.0
    assert Wait.from_json(json.loads(json.dumps(wait.to_json()))) == wait


def test_retry_after_of_a_status_counts(clock: Clock, draw: Any) -> None:
    draw(0.0)
    held = waited(error_reply(429, "x", 429, Retry_After="17"), DONE, clock=clock)
    assert held.pauses == [17.0]


def test_many_rate_limited_reads_are_no_failures(clock: Clock, draw: Any) -> None:
    draw(0.0)
    limited = [error_reply(429, "x", 429, Retry_After="10")] * 50
    assert waited(*limited, DONE, clock=clock).value.verdict is Verdict.COMPLETED


OLD = reply({"status": "completed", "url": URL, "fail_reason": ""})


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.VIDEO])
@pytest.mark.parametrize("absent", [NOT_FOUND, error_reply(400), error_reply(405), reply(b"<html>404</html>", 404)])
def test_the_older_route_is_asked_where_the_new_one_knows_nothing(
    absent: Any, modality: Modality, clock: Clock
) -> None:
    held = run_flow(read_status("a/b?c", modality, StatusRoutes()), [absent, OLD], clock=clock)
    assert held.value.outputs[0].url == URL
    paths = [request.path for request in held.requests]
    assert paths == ["/v1/tasks/a%2Fb%3Fc?language=en", f"{modality.path}/a%2Fb%3Fc?language=en"]


def test_without_a_modality_both_older_routes_are_asked(clock: Clock) -> None:
    held = run_flow(read_status(TASK_ID, None, StatusRoutes()), [NOT_FOUND, NOT_FOUND, OLD], clock=clock)
    assert held.value.generation_id == TASK_ID
    assert [request.path.split("/")[2] for request in held.requests] == ["tasks", "images", "videos"]


def test_the_route_that_answered_is_asked_first_from_then_on(clock: Clock) -> None:
    routes = StatusRoutes()
    run_flow(read_status(TASK_ID, Modality.IMAGE, routes), [NOT_FOUND, OLD], clock=clock)
    held = run_flow(read_status(TASK_ID, Modality.IMAGE, routes), [OLD], clock=clock)
    assert [request.path.split("/")[2] for request in held.requests] == ["images"]
    # A generation of the other kind is still found.
    held = run_flow(read_status(TASK_ID, Modality.VIDEO, routes), [NOT_FOUND, OLD], clock=clock)
    assert [request.path.split("/")[2] for request in held.requests] == ["tasks", "videos"]


def test_an_unknown_id_names_the_first_route_s_reason(clock: Clock) -> None:
    held = run_flow(
        read_status(TASK_ID, Modality.IMAGE, StatusRoutes()), [NOT_FOUND, error_reply(404, "Invalid URL")], clock=clock
    )
    assert isinstance(held.error, errors.ApimartGenerationNotFoundError)
    assert (held.error.status, held.error.generation_id) == (404, TASK_ID)
    assert "task not found" in held.error.message


def test_an_older_route_in_trouble_is_a_blip_and_not_the_end(clock: Clock) -> None:
    wait = Wait(TASK_ID, started_at=clock.now, modality=Modality.IMAGE)
    held = run_flow(
        read_status_with_retries(wait, StatusRoutes()), [NOT_FOUND, error_reply(502), NOT_FOUND, OLD], clock=clock
    )
    assert held.value.status is GenerationStatus.COMPLETED


EVENTS = {
    "completed": (DONE, None),
    "failed": (FAILED, errors.ApimartGenerationFailedError),
    "moderation": (reply({"status": "failed", "fail_reason": "banned prompt"}), errors.ApimartModerationError),
}


@pytest.mark.parametrize("what", EVENTS)
def test_a_decision_travels_as_an_event(what: str, clock: Clock) -> None:
    answer, kind = EVENTS[what]
    decision = waited(answer, clock=clock).value
    event = to_event(decision)
    travelled = json.loads(json.dumps(event, allow_nan=False))
    assert travelled == event
    arrived = decision_from_event(travelled, TASK_ID)
    if kind is None:
        assert finished_generation(arrived).to_xcom() == finished_generation(decision).to_xcom()
        return
    with pytest.raises(kind) as raised:
        finished_generation(arrived)
    assert raised.value.generation_id == TASK_ID
    with pytest.raises(kind, match=re.escape(str(raised.value))):
        finished_generation(decision)


def test_a_watched_failure_has_its_own_class(clock: Clock) -> None:
    decision = waited(FAILED, clock=clock).value
    with pytest.raises(errors.ApimartWatchedGenerationFailedError, match=r"^Upstream error\. The generation failed"):
        finished_generation(decision, failure=errors.ApimartWatchedGenerationFailedError)


def test_a_passed_deadline_says_the_id(clock: Clock) -> None:
    decision = waited(PENDING, clock=clock, deadline=clock.now + 30).value
    for each in (decision, decision_from_event(to_event(decision), TASK_ID)):
        with pytest.raises(errors.ApimartWaitTimeoutError) as raised:
            finished_generation(each)
        assert raised.value.summary == f"Timeout: still pending, 0 %, 30 s after the submit (generation {TASK_ID})"
        assert "A retry or a clear of the task resumes waiting" in str(raised.value)


@pytest.mark.parametrize(
    "event", [None, "x", [], {}, {"verdict": "brand_new"}, {"verdict": ["completed"]}, {"verdict": "look_again"}]
)
def test_an_event_of_someone_else_keeps_the_generation(event: object) -> None:
    with pytest.raises(errors.ApimartStatusUnreadableError) as raised:
        finished_generation(decision_from_event(event, TASK_ID))
    assert raised.value.generation_id == TASK_ID


@pytest.mark.parametrize(
    "event",
    [
        {"verdict": "completed"},
        {"verdict": "completed", "generation": None},
        {"verdict": "completed", "generation": {"status": "processing"}},
        {"verdict": "failed", "generation": {"status": "completed"}},
        {"verdict": "error", "error": {"type": ["x"], "message": None}},
        {"verdict": "error"},
        {"verdict": "error", "error": None},
    ],
)
def test_a_damaged_event_keeps_the_generation(event: object) -> None:
    with pytest.raises(errors.ApimartError) as raised:
        finished_generation(decision_from_event(event, TASK_ID))
    assert raised.value.generation_id == TASK_ID


def test_a_read_policy_of_one_try_gives_up_at_once(clock: Clock) -> None:
    wait = Wait(TASK_ID, started_at=clock.now)
    held = run_flow(
        read_status_with_retries(wait, StatusRoutes(), RetryPolicy(max_requests=1)), [DOWN, DONE], clock=clock
    )
    assert isinstance(held.error, errors.ApimartStatusUnreadableError)
    assert held.error.__cause__ is DOWN
