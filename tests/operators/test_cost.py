"""``max_cost`` of one generation, and quotes of many requests, counted at the sandbox."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.generation import (
    ApimartImageGenerationOperator,
    ApimartMusicGenerationOperator,
    ApimartVideoGenerationOperator,
)
from airflow_provider_apimart.operators.quote import ApimartQuoteOperator
from airflow_provider_apimart.quotes.quote import Certainty
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.batch.bare import task_context

IMAGE = "gemini-3-pro-image-preview"


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    sandbox.configure(seconds=0.05)


def image(**arguments: Any) -> ApimartImageGenerationOperator:
    given = {"model": IMAGE, "prompt": "a cat", "poll_interval": 0.05, **arguments}
    return ApimartImageGenerationOperator(task_id="generate", **given)


def quoted(requests: Any, **arguments: Any) -> dict[str, Any]:
    operator = ApimartQuoteOperator(task_id="quote", requests=requests, **{"model": IMAGE, **arguments})
    return operator.execute(task_context())


def test_a_request_within_the_limit_is_made_and_reports_its_quote(sandbox: Sandbox) -> None:
    made = image(max_cost="0.10", n=2).execute(task_context())
    assert sandbox.dollars == Decimal("0.10")
    assert made["quote"] == {"cost": 0.1, "certainty": "exact", "reason": None}
    assert made["cost"] == made["quote"]["cost"]


def test_without_a_limit_no_price_is_read(sandbox: Sandbox) -> None:
    assert image().execute(task_context()).get("quote") is None
    assert "pricing" not in {request.route for request in sandbox.requests}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 3, "max_cost": 0.149}, "The request costs $0.15, more than max_cost ($0.149). Nothing was sent"),
        ({"n": 3, "max_cost": "0.1"}, "more than max_cost ($0.10)"),
        ({"model": "gpt-image-2-ext", "size": "auto", "max_cost": 0.02}, "costs at most $0.03, more than max_cost"),
        (
            {"model": "grok-image-token", "max_cost": 100},
            "The request has no quote, so max_cost ($100.00) can't be kept",
        ),
        ({"resolution": "8K", "max_cost": 100}, "the price of resolution '8k' isn't published"),
        ({"model": "no-such-model", "max_cost": 100}, "The request has no quote"),
    ],
)
def test_a_request_beyond_the_limit_is_refused_before_anything_is_sent(
    sandbox: Sandbox, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.ApimartCostLimitError) as refused:
        image(check="off", **arguments).execute(task_context())
    assert words in str(refused.value)
    assert "Nothing was sent" in str(refused.value)
    assert {request.route for request in sandbox.requests} == {"pricing"}


@pytest.mark.parametrize("limit", ["", " ", "nan", "-1", "a lot"])
def test_a_limit_that_is_none_is_refused(sandbox: Sandbox, limit: str) -> None:
    with pytest.raises(ValueError, match="max_cost"):
        image(max_cost=limit)
    assert sandbox.accepted == 0


def test_an_empty_rendered_limit_is_refused(sandbox: Sandbox) -> None:
    operator = image(max_cost="{{ params.limit }}")
    operator.max_cost = " "
    with pytest.raises(errors.ApimartInvalidRequestError, match="max_cost"):
        operator.execute(task_context())
    assert sandbox.accepted == 0


@pytest.mark.parametrize("fault", ["html_error", "server_error", "truncated", "forbidden"])
def test_where_the_price_route_fails_for_good_a_limit_refuses(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(ApimartHook, "price_policy", replace(ApimartHook.price_policy, first=0.01))
    sandbox.inject(Fault(fault, on="pricing", times=100))
    with pytest.raises(errors.ApimartCostLimitError, match="The request has no quote"):
        image(max_cost=100).execute(task_context())
    assert sandbox.accepted == 0


def test_a_blip_of_the_price_route_is_nothing(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("bad_gateway", on="pricing", times=1))
    image(max_cost=1).execute(task_context())
    assert sandbox.billed == 1


def test_videos_and_music_have_limits_too(sandbox: Sandbox) -> None:
    video = ApimartVideoGenerationOperator(
        task_id="generate", model="kling-v3", prompt="a cat", duration=10, parameters={"mode": "pro"}, max_cost=1.1
    )
    with pytest.raises(errors.ApimartCostLimitError, match=r"costs \$1\.12"):
        video.execute(task_context())
    music = ApimartMusicGenerationOperator(task_id="generate", model="suno", prompt="rain", max_cost=0.05)
    with pytest.raises(errors.ApimartCostLimitError, match=r"costs at most \$0\.08"):
        music.execute(task_context())
    assert sandbox.accepted == 0


def test_requests_are_quoted_and_checked_without_spending(sandbox: Sandbox) -> None:
    result = quoted(
        [
            {"prompt": "a cat", "n": 2},
            {"prompt": "a dog", "model": "gpt-image-2-ext", "size": "auto"},
            {"prompt": "a fox", "model": "grok-image-token"},
            {"prompt": "a fox", "model": "kling-v2-6", "modality": "video", "duration": 5},
            {"prompt": "a hen", "parameters": {"aspect_ration": "1:1"}},
        ]
    )
    warnings = result.pop("warnings")
    assert result == {
        "items": 5,
        "reused": 0,
        "cost": pytest.approx(0.1 + 0.03 + 0.35 + 0.05),
        "certainty": "no_quote",
        "without_quote": 1,
        "by_model": {
            IMAGE: {"items": 2, "cost": pytest.approx(0.15), "without_quote": 0},
            "gpt-image-2-ext": {"items": 1, "cost": 0.03, "without_quote": 0},
            "grok-image-token": {"items": 1, "cost": 0, "without_quote": 1},
            "kling-v2-6": {"items": 1, "cost": 0.35, "without_quote": 0},
        },
    }
    assert warnings == [
        "1 without a quote: tokens are billed, and no estimate is published",
        f"Unknown parameter 'aspect_ration' for {IMAGE} (did you mean 'aspect_ratio'?) in item '4'",
    ]
    assert sandbox.accepted == 0


def test_a_quote_is_what_the_batch_costs(sandbox: Sandbox, tmp_path: Path) -> None:
    from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator

    requests = [{"prompt": f"{number}", "n": 1 + number % 3} for number in range(12)]
    result = quoted(requests)
    assert result["certainty"] == "exact"
    batch = ApimartBatchGenerationOperator(
        task_id="batch", requests=requests, model=IMAGE, destination=str(tmp_path), max_cost=result["cost"]
    )
    manifest = batch.execute(task_context())
    assert sandbox.dollars == Decimal(str(result["cost"]))
    assert manifest["quote"]["cost"] == result["cost"] == manifest["cost"]


def test_many_requests_of_one_model_ask_for_its_prices_once(sandbox: Sandbox) -> None:
    quoted([f"a cat {number}" for number in range(50)] and [{"prompt": f"{number}"} for number in range(50)])
    assert [request.route for request in sandbox.requests].count("pricing") == 1


def test_check_refuse_holds_for_quotes_too(sandbox: Sandbox) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match="aspect_ration"):
        quoted([{"prompt": "a hen", "parameters": {"aspect_ration": "1:1"}}], check="refuse")


def test_nothing_is_quoted_at_nothing(sandbox: Sandbox) -> None:
    assert quoted([])["cost"] == 0
    assert sandbox.accepted == 0


def test_the_hook_quotes(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hook = ApimartHook()
    assert str(hook.quote("image", {"model": IMAGE, "prompt": "a cat"})) == "$0.05"
    none = hook.quote("video", {"model": "kling-v2-6", "prompt": "a cat"})
    assert (none.cost, none.certainty, none.reason) == (None, Certainty.NO_QUOTE, "it names no duration")
    with pytest.raises(errors.ApimartInvalidRequestError, match="model"):
        hook.quote("image", {"prompt": "a cat"})
