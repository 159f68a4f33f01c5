from __future__ import annotations

import time

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.models import list_models
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox

from .support import Holder, http, quick_hook, wire


def test_the_models_of_a_key(sandbox: Sandbox, hook: ApimartHook) -> None:
    models = {model.id: model for model in hook.list_models()}
    assert len(models) > 10
    kling = models["kling-v2-6"]
    assert (kling.modalities, kling.endpoint) == (frozenset({Modality.VIDEO}), "/v1/videos/generations")
    assert kling.parameters["duration"].alternatives[0].enum == (5, 10)
    assert kling.is_complete
    assert models["suno"].modalities == {Modality.MUSIC}
    assert [request.path for request in sandbox.requests] == ["/v1/models?expand=parameters"]
    assert sandbox.billed == 0


def test_a_key_with_a_list_of_models(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    restricted = quick_hook(monkeypatch, sandbox.base_url, password="sk-sandbox-restricted")
    assert [model.id for model in restricted.list_models()] == ["gemini-2.5-flash-image-preview"]


def test_the_hook_reads_them_again_after_a_blip(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.inject(Fault(kind="bad_gateway", on="models", times=2))
    assert quick_hook(monkeypatch, sandbox.base_url).list_models()


def test_a_list_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with wire(http("404 Not Found", b"<html>no</html>")) as server, pytest.raises(errors.ApimartServerError):
        quick_hook(monkeypatch, server.url).list_models()


def test_both_transports_read_them_the_same(sandbox: Sandbox, hook: ApimartHook, holder: Holder) -> None:
    assert list(holder(hook, list_models())) == hook.list_models()


def test_a_slow_list_takes_no_longer_than_the_timeout(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with wire(http("200 OK", b'{"data": []}' + b" " * 6000), pieces=0.01) as server:
        slow = quick_hook(monkeypatch, server.url, extra={"timeout": 0.5})
        began = time.monotonic()
        with pytest.raises(errors.ApimartServerError):
            holder(slow, list_models())
        assert time.monotonic() - began < 30
