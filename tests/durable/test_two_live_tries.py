"""Two tries of one task instance that live at once, the first of which was thought dead."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.requests_transport import RequestsTransport
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.durable.identity import PaidRequest, TaskIdentity, key_scope
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.durable.store import RecordStore
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings


class SharedStore:
    """The rows that both tries see, as JSON."""

    def __init__(self) -> None:
        self._rows: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self._lock:
            return json.loads(self._rows[key]) if key in self._rows else None

    def set(self, key: str, value: Any) -> None:
        with self._lock:
            self._rows[key] = json.dumps(value)


@pytest.mark.parametrize("with_store", [True, False])
def test_they_share_one_generation(with_store: bool) -> None:
    store = SharedStore()
    with Sandbox(SandboxSettings(seconds=5, submit_delay=0.5)) as sandbox, ThreadPoolExecutor(2) as pool:

        def obtain() -> str | None:
            paid = PaidOnce(
                task=TaskIdentity("dag", "run", "task", -1, 0),
                request=PaidRequest(
                    "apimart_default",
                    Modality.IMAGE,
                    {"model": "gemini-2.5-flash-image-preview", "prompt": "a cat"},
                ),
                store=RecordStore(store if with_store else None),
                key_scope=key_scope(sandbox.base_url, sandbox.api_key),
                submit_policy=RetryPolicy(first=0.05, longest=0.2),
            )
            transport = RequestsTransport(ClientSettings(sandbox.api_key, sandbox.base_url))
            return transport.run(paid.obtain()).generation_id

        first, second = pool.map(lambda _: obtain(), range(2))
        posts = [request for request in sandbox.requests if request.method == "POST"]
        assert first == second is not None
        assert sandbox.billed == 1
        assert len(posts) > 1
