"""Results that have expired, or are not yet available."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.generation import Output
from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartError, ApimartResultExpiredError

# A host may answer these for a URL that is over, or that isn't there yet.
GONE = (401, 403, 404, 410)
_GONE_FOR_GOOD = 410
_SOON = timedelta(hours=1)
_YOUNG = timedelta(minutes=2)


def is_over(output: Output, now: datetime) -> bool:
    """Return whether a URL is over by the clock."""
    return output.expires_at is not None and output.expires_at <= now


def is_young(output: Output, completed: datetime | None, now: datetime) -> bool:
    """
    Return whether a URL may not be there yet: files of some hosts appear moments after the completion.

    :param completed: The completion of the generation, ``None`` if it has to be derived from the expiry of the URL.
    """
    if completed is None and output.expires_at is not None:
        completed = output.expires_at - contract.RESULT_LIFETIME
    return completed is not None and abs(now - completed) < _YOUNG


def warning(output: Output, now: datetime) -> str | None:
    """Return the warning about a URL that expires within the hour or has expired, ``None`` if it lives longer."""
    if output.expires_at is None or output.expires_at - now > _SOON:
        return None
    minutes = round((output.expires_at - now) / timedelta(minutes=1))
    if minutes > 0:
        return f"{without_query(output.url)} expires at {_hour(output.expires_at)}, in {minutes} minutes"
    return f"{without_query(output.url)} expired at {_hour(output.expires_at)}; asking APIMart for a newer one"


def gone_error(output: Output, error: ApimartDownloadError, now: datetime) -> ApimartError:
    """Return the error for a file that neither its URL nor APIMart's record of the task leads to."""
    if is_over(output, now):
        reason = f"expired at {_hour(output.expires_at)}, and APIMart has no newer one"
    elif error.status == _GONE_FOR_GOOD:
        reason = "is gone, and APIMart has no newer one"
    else:
        lives = f", although it lives until {_hour(output.expires_at)}" if output.expires_at else ""
        return ApimartDownloadError(f"{error.message}{lives}. A retry fetches it again", status=error.status)
    return ApimartResultExpiredError(f"{without_query(output.url)} {reason}: this file is lost", status=error.status)


def _hour(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M UTC}" if moment else "an unknown time"
