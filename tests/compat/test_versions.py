from __future__ import annotations

import pytest

from airflow_provider_apimart.compat.versions import (
    HASHES_ALIAS_EXTRA,
    REFUSES_NONE_IN_XCOM,
    SHOWS_URLS_AS_TEXT,
    WEB_SERVER_READS_LINKS,
    VersionedBehaviour,
    running_version,
)

VERSIONS = ["2.11.2", "3.0.6", "3.1.0", "3.1.8", "3.2.2", "3.3.2", "3.4.0b2", "4.0.0.dev0"]


@pytest.mark.parametrize(
    ("behaviour", "present"),
    [
        (REFUSES_NONE_IN_XCOM, {"3.0.6"}),
        (HASHES_ALIAS_EXTRA, {"2.11.2", "3.0.6", "3.1.0", "3.1.8"}),
        (WEB_SERVER_READS_LINKS, {"2.11.2"}),
        (SHOWS_URLS_AS_TEXT, {"2.11.2", "3.0.6"}),
    ],
)
def test_a_behaviour_is_present_in_its_versions_only(
    behaviour: VersionedBehaviour, present: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for version in VERSIONS:
        monkeypatch.setattr("airflow.__version__", version)
        if behaviour.is_present:
            found.add(version)
    assert found == present


def test_the_running_version_is_major_and_minor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.__version__", "3.4.0b2")
    assert running_version() == (3, 4)
