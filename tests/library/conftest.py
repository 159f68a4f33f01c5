"""Directories in every kind of storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch.places import BUCKET, Place


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URI of an empty directory, in the kind of storage that a test names."""
    kind = Place(request.param)
    if kind is Place.S3:
        request.getfixturevalue("s3").bucket(BUCKET)
    kind.attach()
    return kind.uri(tmp_path)
