"""Places of files: which are the same for every worker."""

from __future__ import annotations

import pytest

from airflow_provider_apimart.results.storage.paths import is_relative


@pytest.mark.parametrize(
    "place",
    ["/data", "/data/a b#c?d", "file:///data", "local:///data", "FILE:///data", "s3://bucket", "s3://conn@bucket/a",
     "file://conn@/data", "gs://bucket/{ds}", "memory://x"],
)  # fmt: skip
def test_a_place_is_the_same_for_every_worker(place: str) -> None:
    assert not is_relative(place)


@pytest.mark.parametrize(
    "place",
    ["", "data", "./data", "~/data", " /data", "C:\\data", "s3:/bucket", "s3://", "s3:///", "file://", "file://data",
     "file://localhost/data", "file:////data", "local://", "None"],
)  # fmt: skip
def test_a_place_in_the_working_directory_or_nowhere_is_not(place: str) -> None:
    assert is_relative(place)
