"""Warnings and errors about the expiry of URLs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartResultExpiredError
from airflow_provider_apimart.results.expiry import gone_error, is_over, warning
from tests.results.support import output

NOW = datetime(2026, 11, 22, 13, 53, tzinfo=UTC)


def expiring(after: timedelta | None) -> str | None:
    return warning(output("https://x/y", expires_at=None if after is None else NOW + after), NOW)


@pytest.mark.parametrize("after", [None, timedelta(hours=2), timedelta(minutes=61)])
def test_what_lives_long_enough_needs_no_word(after: timedelta | None) -> None:
    assert expiring(after) is None


def test_a_file_expiring_within_the_hour_is_named_with_hour_and_minutes() -> None:
    assert expiring(timedelta(minutes=12)) == "https://x/y expires at 2026-11-22 14:05 UTC, in 12 minutes"
    assert "asking APIMart for a newer one" in str(expiring(timedelta(minutes=-12)))


def test_hours_are_given_in_utc() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    assert "2026-11-22 13:53 UTC" in str(warning(output("https://x/y", expires_at=there), NOW))
    assert is_over(output("https://x/y", expires_at=there), NOW)


@pytest.mark.parametrize(
    ("status", "minutes", "kind"),
    [
        (404, -1, ApimartResultExpiredError),
        (403, None, ApimartDownloadError),
        (404, 60, ApimartDownloadError),
        (410, 60, ApimartResultExpiredError),
        (410, None, ApimartResultExpiredError),
    ],
)
def test_what_is_gone_is_over_by_its_hour_or_for_good(status: int, minutes: int | None, kind: type[Exception]) -> None:
    expires_at = None if minutes is None else NOW + timedelta(minutes=minutes)
    error = gone_error(output("https://x/y", expires_at=expires_at), ApimartDownloadError("no", status=status), NOW)
    assert type(error) is kind
    assert error.status == status
