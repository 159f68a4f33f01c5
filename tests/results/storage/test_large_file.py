"""A large file is what arrived, past the page cache or through it."""

from __future__ import annotations

import hashlib
import random
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_apimart.results.storage.hashing_writer import HashingWriter
from airflow_provider_apimart.results.storage.large_file import LargeFile

pytestmark = pytest.mark.long

MEBIBYTE = 1024 * 1024
# A file system in memory, which has no way past the cache on most systems.
IN_MEMORY = Path("/dev/shm")
CONTENT = random.Random(1).randbytes(11 * MEBIBYTE + 4097)


@pytest.fixture(params=["on the disk", "in memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "in memory" and not IN_MEMORY.is_dir():
        pytest.skip(f"{IN_MEMORY} isn't here")
    folder = tmp_path if request.param == "on the disk" else IN_MEMORY
    path = folder / f"large-{random.randbytes(8).hex()}"
    yield path
    path.unlink(missing_ok=True)


def blocks(size: int) -> Iterator[bytes]:
    for start in range(0, len(CONTENT), size):
        yield CONTENT[start : start + size]


@pytest.mark.parametrize("size", [777, 65536, MEBIBYTE, 2 * MEBIBYTE, 3 * MEBIBYTE + 1, len(CONTENT)])
def test_the_file_is_what_was_written(path: Path, size: int) -> None:
    with path.open("xb") as file:
        large = LargeFile(file)
        for block in blocks(size):
            large.write(block)
        large.finish()
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [0, 1, 4 * MEBIBYTE, 8 * MEBIBYTE, len(CONTENT)])
def test_a_sink_writes_and_hashes_what_it_took(path: Path, length: int) -> None:
    with path.open("xb") as file, ThreadPoolExecutor(2) as executor:
        sink = HashingWriter(file, executor)
        for start in range(0, length, 500_001):
            sink.take(CONTENT[start : min(start + 500_001, length)])
        digest = sink.finish()
    assert path.read_bytes() == CONTENT[:length]
    assert digest == hashlib.sha256(CONTENT[:length]).hexdigest()


def test_a_sink_begins_again_after_it_wrote_past_the_cache(path: Path) -> None:
    with path.open("xb") as file, ThreadPoolExecutor(2) as executor:
        sink = HashingWriter(file, executor)
        for block in blocks(MEBIBYTE):
            sink.take(block)
        sink.restart()
        sink.take(b"small")
        digest = sink.finish()
    assert path.read_bytes() == b"small"
    assert digest == hashlib.sha256(b"small").hexdigest()


def test_a_file_that_may_not_grow_is_reported(tmp_path: Path) -> None:
    """The system refuses to write more, in the midst of a piece, as it does when a disk is full."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "large").open("xb") as file, ThreadPoolExecutor(2) as executor:
        sink = HashingWriter(file, executor)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 * MEBIBYTE + 100, allowed[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                feed(sink)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, allowed)


def feed(sink: HashingWriter) -> None:
    for block in blocks(MEBIBYTE):
        sink.take(block)
    sink.finish()
