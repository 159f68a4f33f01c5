"""S3 on loopback, and an Airflow connection that leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.batch.places import s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[Mapping[str, str]]:
    """Provide S3, which only tests that use it wait for."""
    with s3_server() as variables:
        yield variables


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: object) -> str:
    """Return the URI of an empty directory, in the kind of storage that a test names."""
    from pathlib import Path

    from tests.batch.places import Place

    kind = Place(request.param)
    if kind is Place.S3:
        request.getfixturevalue("s3")
    kind.attach()
    return kind.uri(Path(str(tmp_path)))
