from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.checks.check import Check, CheckedRequest, check_requests
from airflow_provider_apimart.checks.known_models import KEPT_SECONDS, TROUBLE_KEPT_SECONDS, KnownModels
from tests.api.driver import Clock, Held, error_reply, reply, run_flow

from .support import entry

LIST = reply({"data": [entry("m", {"prompt": {}, "n": {"maximum": 4}})]})
MISSPELT = {"model": "m", "promt": "a fox"}
ODD = {"model": "m", "sizzle": 1}


def run(check: Check, *payloads: dict[str, Any], answer: Any = LIST, items: bool = False) -> Held:
    asked = [
        CheckedRequest(Modality.IMAGE, payload, str(number) if items else None)
        for number, payload in enumerate(payloads)
    ]
    return run_flow(check_requests(check, "scope", asked), [answer])


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "airflow_provider_apimart.checks.check")
    return caplog


def test_findings_are_logged_and_the_request_is_sent(logged: pytest.LogCaptureFixture) -> None:
    held = run(Check.WARN, {**MISSPELT, "n": 5})
    assert held.error is None
    assert [(record.levelname, record.message) for record in logged.records] == [
        ("WARNING", "Unknown parameter 'promt' for m (did you mean 'prompt'?)"),
        ("WARNING", "Invalid n for m: 5 (allowed: at most 4)"),
    ]


def test_a_good_request_is_not_mentioned(logged: pytest.LogCaptureFixture) -> None:
    assert run(Check.REFUSE, {"model": "m", "prompt": "a fox"}).error is None
    assert logged.records == []


def test_a_refused_request_says_why_and_what_to_do() -> None:
    error = run(Check.REFUSE, MISSPELT).error
    assert isinstance(error, errors.ApimartInvalidRequestError)
    assert str(error) == (
        "Unknown parameter 'promt' for m (did you mean 'prompt'?). Nothing was sent\n"
        'Fix the input, or send it as it is with check="warn".'
    )


def test_several_findings_refuse_together(logged: pytest.LogCaptureFixture) -> None:
    error = run(Check.REFUSE, {**MISSPELT, "n": 5, "sizzle": 1}).error
    assert isinstance(error, errors.ApimartInvalidRequestError)
    assert error.message == (
        "The check has 2 findings. Nothing was sent:\n- Unknown parameter 'promt' for m (did you mean 'prompt'?)\n"
        "- Invalid n for m: 5 (allowed: at most 4)"
    )
    assert [record.message for record in logged.records] == [
        "Unknown parameter 'sizzle' for m (not in the model's description; it may be ignored)"
    ]


def test_what_is_only_unusual_is_never_refused(logged: pytest.LogCaptureFixture) -> None:
    assert run(Check.REFUSE, ODD).error is None
    assert len(logged.records) == 1


def test_items_with_the_same_finding_are_reported_once(logged: pytest.LogCaptureFixture) -> None:
    run(Check.WARN, *[MISSPELT] * 8, ODD, items=True)
    assert [record.message for record in logged.records] == [
        "Unknown parameter 'promt' for m (did you mean 'prompt'?) in items '0', '1', '2', '3', '4' and 3 more",
        "Unknown parameter 'sizzle' for m (not in the model's description; it may be ignored) in item '8'",
    ]


def test_a_batch_with_many_findings_keeps_the_log_short(logged: pytest.LogCaptureFixture) -> None:
    run(Check.WARN, *[{"model": "m", "n": number} for number in range(5, 1005)], items=True)
    assert len(logged.records) == 51
    assert logged.records[-1].message == "The check has 950 more findings"
    error = run(Check.REFUSE, *[{"model": "m", "n": number} for number in range(5, 1005)], items=True).error
    assert isinstance(error, errors.ApimartInvalidRequestError)
    assert error.message.splitlines()[0] == "The check has 1,000 findings. Nothing was sent:"
    assert error.message.splitlines()[-1] == "... and 950 more"


def test_nothing_is_asked_where_nothing_is_checked() -> None:
    assert run(Check.OFF, MISSPELT).requests == []


@pytest.mark.parametrize(("check", "level"), [(Check.WARN, "INFO"), (Check.REFUSE, "WARNING")])
@pytest.mark.parametrize(
    "answer",
    [
        reply(b"<html>", 404),
        reply(b"<html>"),
        reply({"data": 5}),
        error_reply(401),
        error_reply(403),
        error_reply(429, Retry_After="3600"),
        errors.ApimartServerError("slow"),
        errors.ApimartConnectionError("refused"),
        errors.ApimartConfigurationError("redirect"),
    ],
)
def test_a_list_that_cannot_be_read_costs_one_line(
    answer: Any, check: Check, level: str, logged: pytest.LogCaptureFixture
) -> None:
    held = run(check, MISSPELT, answer=answer)
    assert held.error is None
    assert (len(held.requests), held.pauses) == (1, [])
    (record,) = logged.records
    assert record.levelname == level
    assert record.message.startswith("Requests are not checked, since the list of models couldn't be read: ")


def test_an_empty_list_refuses_nothing(logged: pytest.LogCaptureFixture) -> None:
    assert run(Check.REFUSE, MISSPELT, answer=reply({"data": []})).error is None
    assert logged.records == []


def asked(known: KnownModels, scope: str, answer: Any = LIST) -> int:
    return len(run_flow(known.read(scope), [answer]).requests)


def test_a_list_is_kept_for_some_minutes_for_each_key() -> None:
    clock = Clock()
    known = KnownModels(clock)
    assert [asked(known, scope) for scope in ("one", "one", "other")] == [1, 0, 1]
    clock.now += KEPT_SECONDS - 1
    assert asked(known, "one") == 0
    clock.now += 1
    assert asked(known, "one") == 1


def test_trouble_is_kept_for_a_moment_only() -> None:
    clock = Clock()
    known = KnownModels(clock)
    trouble = errors.ApimartServerError("slow")
    for wanted in (1, 0):
        held = run_flow(known.read("one"), [trouble])
        assert held.error is trouble
        assert len(held.requests) == wanted
    clock.now += TROUBLE_KEPT_SECONDS
    assert asked(known, "one") == 1
