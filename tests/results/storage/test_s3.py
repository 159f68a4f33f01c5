"""Saving into S3, through Airflow's own storage layer, against a server that speaks S3 on loopback."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.results.download.address_policy import AddressPolicy
from airflow_provider_apimart.results.download.client import Network
from airflow_provider_apimart.results.download.limits import Limits
from airflow_provider_apimart.results.saver import ResultSaver
from airflow_provider_apimart.results.storage.receipts import key_of
from tests.results.hostile import Asked, head, hostile, picture, sha256, whole
from tests.results.support import POLICY, save
from tests.s3 import CONNECTION_ID, S3Server

pytestmark = pytest.mark.long

SMALL, LARGE = picture(5000), picture(12_000_000)
DESTINATION = f"s3://{CONNECTION_ID}@pictures/2026 11 22/"


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Any]:
    """Provide an empty bucket."""
    made = s3.bucket("pictures")
    yield made
    made.objects.all().delete()


def saver_to(origin: str, destination: str = DESTINATION) -> ResultSaver:
    return ResultSaver(destination, network=Network(address_policy=AddressPolicy(origin)), limits=Limits(policy=POLICY))


def keys(bucket: Any) -> list[str]:
    return sorted(each.key for each in bucket.objects.all() if not each.key.endswith("/.apimart/README.txt"))


def unfinished(bucket: Any) -> list[Any]:
    return list(bucket.multipart_uploads.all())


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["at once", "in parts"])
def test_a_file_is_saved_whole_with_its_type(bucket: Any, content: bytes) -> None:
    with hostile(whole(content)) as server, saver_to(server.url) as saver:
        saved = save(saver, server.url, "deep/x")
    stored = bucket.Object("2026 11 22/deep/x.png").get()
    assert stored["ContentType"] == "image/png"
    assert sha256(stored["Body"].read()) == saved.sha256 == sha256(content)
    assert (saved.uri, saved.bytes) == (f"{DESTINATION}deep/x.png", len(content))
    assert ("-" in stored["ETag"]) is (content is LARGE)
    assert keys(bucket) == [f"2026 11 22/.apimart/{key_of('deep/x')}.json", "2026 11 22/deep/x.png"]


def test_what_is_returned_can_be_opened_by_the_next_task(bucket: Any) -> None:
    with hostile(whole(SMALL)) as server, saver_to(server.url) as saver:
        saved = save(saver, server.url, "x")
    assert ObjectStoragePath(saved.uri).read_bytes() == SMALL


def test_a_retry_fetches_nothing_that_lies_there(bucket: Any) -> None:
    with hostile(whole(SMALL)) as server:
        for _ in range(2):
            with saver_to(server.url) as saver:
                saved = save(saver, server.url, "x", owner="task_1#0")
        assert len(server.asked) == 1
        bucket.Object("2026 11 22/x.png").delete()
        with saver_to(server.url) as saver:
            assert save(saver, server.url, "x", owner="task_1#0") == saved
        assert len(server.asked) == 2
    assert keys(bucket) == [f"2026 11 22/.apimart/{key_of('x')}.json", "2026 11 22/x.png"]


def test_a_broken_download_leaves_no_object(bucket: Any) -> None:
    def cut(asked: Asked) -> list[bytes]:
        return [head(content_length=len(LARGE)), LARGE[: len(LARGE) // 2]]

    with hostile(cut) as server, saver_to(server.url) as saver, pytest.raises(errors.ApimartDownloadError):
        save(saver, server.url, "x", owner="o")
    assert keys(bucket) == []
    assert unfinished(bucket) == []


def test_a_store_that_fails_between_two_parts_has_no_object(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(whole(LARGE)) as server, saver_to(server.url) as saver:
        monkeypatch.setattr(store_of(saver), "_call_s3", failing_after_parts(store_of(saver), 1))
        with pytest.raises(errors.ApimartDestinationError, match="costs nothing"):
            save(saver, server.url, "x", owner="o")
    assert "2026 11 22/x.png" not in keys(bucket)
    assert unfinished(bucket) == []


def store_of(saver: ResultSaver) -> Any:
    """Return the storage library's own object."""
    return saver._files._store  # type: ignore[attr-defined]  # of a store's destination


def failing_after_parts(store: Any, parts: int) -> Callable[..., Any]:
    """Return the store's way to call S3, which fails when more parts than these are sent."""
    call, sent = store._call_s3, count(1)

    async def failing(method: str, *arguments: Any, **options: Any) -> Any:
        if method == "upload_part" and next(sent) > parts:
            raise OSError("the connection was reset")
        return await call(method, *arguments, **options)

    return failing


_KILLED_BETWEEN_TWO_PARTS = """
import os, signal, sys
from tests.results.storage import test_s3
from tests.results.support import save

async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

saver = test_s3.saver_to(sys.argv[1])
store = test_s3.store_of(saver)
store._call_s3 = test_s3.failing_after_parts(store, 1)
# Where a living process would clean up.
store._abort_mpu = die
save(saver, sys.argv[1], "x", owner="o")
"""


def test_a_process_killed_between_two_parts_leaves_no_object(bucket: Any) -> None:
    with hostile(whole(LARGE)) as server:
        killed = subprocess.run([sys.executable, "-c", _KILLED_BETWEEN_TWO_PARTS, server.url], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert "2026 11 22/x.png" not in keys(bucket)
        with saver_to(server.url) as saver:
            assert save(saver, server.url, "x", owner="o").sha256 == sha256(LARGE)
    assert keys(bucket) == [f"2026 11 22/.apimart/{key_of('x')}.json", "2026 11 22/x.png"]


def test_a_bucket_that_is_not_there_is_reported_before_anything_is_fetched(bucket: Any) -> None:
    with pytest.raises(errors.ApimartDestinationError, match="nowhere"):
        saver_to("http://127.0.0.1:1", "s3://aws_test@nowhere/")


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["at once", "in parts"])
def test_an_object_of_somebody_else_is_never_replaced(bucket: Any, content: bytes) -> None:
    bucket.put_object(Key="2026 11 22/x.png", Body=b"old")
    with hostile(whole(content)) as server, saver_to(server.url) as saver:
        saved = save(saver, server.url, "x", owner="o")
        assert save(saver, server.url, "x", owner="o") == saved
        assert len(server.asked) == 1
    assert bucket.Object("2026 11 22/x.png").get()["Body"].read() == b"old"
    assert ObjectStoragePath(saved.uri).read_bytes() == content


def test_savers_that_write_the_same_name_at_once_replace_nothing(bucket: Any) -> None:
    contents = {f"/{number}": picture(5000, number) for number in range(8)}
    with (
        hostile(lambda asked: [head(content_length=5000), contents[asked.path]]) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        savers = [saver_to(server.url) for _ in contents]
        saved = list(pool.map(lambda saver, path: save(saver, server.url + path, "x", owner=path), savers, contents))
        for saver in savers:
            saver.close()
    assert [ObjectStoragePath(each.uri).read_bytes() for each in saved] == list(contents.values())


def test_a_store_without_its_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        errors.ApimartDestinationError, match=r"apache-airflow-providers-google\[gcsfs\]|isn't installed"
    ):
        ResultSaver("gs://another_connection@bucket/pictures/")
