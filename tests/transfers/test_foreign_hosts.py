"""Requests of the operator to foreign hosts, from end to end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator
from tests.hooks.support import QUICK, whole_chain
from tests.results.hostile import Asked, Hostile, head, hostile, picture, whole
from tests.transfers.support import Task, context

KEY = "sk-secret-that-nobody-may-see"
HEADER = "secret-header-value"
PICTURE = picture(5000)
Connect = Callable[[str], None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that makes a server the connection's host."""
    monkeypatch.setattr(ApimartHook, "download_policy", QUICK)
    monkeypatch.setattr(ApimartHook, "status_policy", QUICK)

    def connected(url: str) -> None:
        extra = {"headers": {"X-Gateway": HEADER}}
        connection = {"conn_type": "apimart", "host": url, "password": KEY, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", json.dumps(connection))

    return connected


def finished(*urls: str, **details: Any) -> dict[str, Any]:
    outputs = [{"url": url, "kind": "image", "expires_at": details.pop("expires_at", None)} for url in urls]
    return {"generation_id": "task_1", "status": "completed", "outputs": outputs, **details}


def save(generation: Any, folder: Path, task: Task | None = None, **arguments: Any) -> list[str]:
    operator = ApimartToObjectStorageOperator(
        task_id="save", generation=generation, destination=str(folder), **arguments
    )
    return operator.execute(context(task))


@contextmanager
def gateway(*outputs: str) -> Iterator[Hostile]:
    """Stand in for APIMart, whose record of every task holds these outputs."""
    images = [{"url": url} for url in outputs]
    record = {"code": 200, "data": {"id": "task_1", "status": "completed", "result": {"images": images}}}
    body = json.dumps(record).encode()
    with hostile(whole(body, content_type="application/json")) as server:
        yield server


def test_the_key_is_seen_by_the_gateway_only(
    connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    task = Task()
    with hostile(whole(PICTURE)) as target:

        def misbehaving(asked: Asked) -> list[bytes]:
            match asked.path:
                case "/away":
                    return [head("302 Found", location=f"{target.url}/x", set_cookie="a=b")]
                case "/gone":
                    return [head("401 Unauthorized", www_authenticate="Bearer")]
                case "/html":
                    return [head(), b"<html>Sign in</html>"]
            return [head(content_length=9000), PICTURE]

        with hostile(misbehaving) as server, gateway(*[f"{server.url}/gone"] * 4) as apimart:
            connect(apimart.url)
            urls = [f"{server.url}/{path}" for path in ("away", "gone", "html", "cut")]
            with pytest.raises(errors.ApimartDownloadError, match="3 of 4 files") as caught:
                save(finished(*urls), tmp_path, task, allow_private_hosts=True)
    assert KEY in apimart.text
    assert HEADER in apimart.text
    told = "".join(str(each) + repr(each) for each in whole_chain(caught.value))
    for seen in (server.text, target.text, told, caplog.text, repr(task.pushed)):
        assert KEY not in seen
        assert HEADER not in seen
    assert target.asked


def test_only_the_gateway_may_be_private(connect: Connect, tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as apimart, hostile(whole(PICTURE)) as other:
        connect(apimart.url)
        assert len(save(finished(apimart.url), tmp_path)) == 1
        with pytest.raises(errors.ApimartResultRefusedError, match="allow_private_hosts"):
            save(finished(other.url), tmp_path / "other")
        assert other.connections == 0
        assert len(save(finished(other.url), tmp_path / "other", allow_private_hosts=True)) == 1


def test_a_newer_url_is_fetched_when_the_known_one_is_over(connect: Connect, tmp_path: Path) -> None:
    def answer(asked: Asked) -> list[bytes]:
        return whole(PICTURE)(asked) if asked.path == "/new" else [head("410 Gone")]  # type: ignore[return-value]  # is a list

    with hostile(answer) as server, gateway(f"{server.url}/new") as apimart:
        connect(apimart.url)
        for expires_at in (None, "2026-01-01T00:00:00+00:00"):
            generation = finished(f"{server.url}/old", expires_at=expires_at)
            assert len(save(generation, tmp_path / str(expires_at), allow_private_hosts=True)) == 1
    # By the clock it was over, so the newer one was asked for at once.
    assert [asked.path for asked in server.asked] == ["/old", "/new", "/new"]
    assert [asked.path.partition("?")[0] for asked in apimart.asked] == ["/v1/tasks/task_1"] * 2


def test_a_url_that_lives_longer_than_was_said_is_fetched(connect: Connect, tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server, gateway(server.url) as apimart:
        connect(apimart.url)
        generation = finished(server.url, expires_at="2026-01-01T00:00:00+00:00")
        assert len(save(generation, tmp_path, allow_private_hosts=True)) == 1


def test_an_expired_file_is_named_with_id_and_hour(connect: Connect, tmp_path: Path) -> None:
    with hostile(lambda asked: [head("403 Forbidden")]) as server, gateway() as apimart:
        connect(apimart.url)
        generation = finished(server.url, completed="2026-01-01T10:30:00+00:00")
        with pytest.raises(errors.ApimartResultExpiredError, match="expired at 2026-01-02 10:30 UTC") as caught:
            save(generation, tmp_path, allow_private_hosts=True)
    assert caught.value.generation_id == "task_1"
    assert caught.value.status == 403


def test_what_is_missing_before_its_hour_is_tried_again_by_a_retry(connect: Connect, tmp_path: Path) -> None:
    with hostile(lambda asked: [head("404 Not Found")]) as server, gateway() as apimart:
        connect(apimart.url)
        with pytest.raises(errors.ApimartDownloadError, match="although it lives until 2999-01-01 00:00 UTC"):
            save(finished(server.url, expires_at="2999-01-01T00:00:00+00:00"), tmp_path, allow_private_hosts=True)


def test_an_id_of_the_server_names_no_place(connect: Connect, tmp_path: Path) -> None:
    inside = tmp_path / "deep" / "inside"
    with hostile(whole(PICTURE)) as server:
        connect(server.url)
        for evil in ("../../../etc/cron.d/x", "/etc/passwd", "..\\..\\x", "a\x00b", "CON", ".", "..", "x" * 5000):
            save(finished(server.url, generation_id=evil, model=evil), inside, filename="{model}/{generation_id}")
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and inside not in path.parents]
    assert outside == []
    assert len(list(inside.rglob("*.png"))) == 8
