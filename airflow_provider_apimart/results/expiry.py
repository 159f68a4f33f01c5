"""When result URLs die, in words and as a decision on the clock. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_apimart.api.generation import Output
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartError, ApimartResultExpiredError

# What a host answers for a URL that is over, or that isn't there yet.
GONE = (401, 403, 404, 410)
_GONE_FOR_GOOD = 410
_SOON = timedelta(hours=1)


def is_over(output: Output, now: datetime) -> bool:
    """Whether a URL is over by the clock."""
    return output.expires_at is not None and output.expires_at <= now


def warning(output: Output, now: datetime) -> str | None:
    """Return what to tell of a URL that dies within the hour or is over, ``None`` if it lives longer."""
    if output.expires_at is None or output.expires_at - now > _SOON:
        return None
    minutes = round((output.expires_at - now) / timedelta(minutes=1))
    if minutes > 0:
        return f"{output.url} expires at {_hour(output.expires_at)}, in {minutes} minutes"
    return f"{output.url} expired at {_hour(output.expires_at)}; APIMart is asked for a newer one"


def gone_error(output: Output, error: ApimartDownloadError, now: datetime) -> ApimartError:
    """Return what it means that neither a URL nor APIMart's record of the task leads to the file."""
    if is_over(output, now):
        told = f"expired at {_hour(output.expires_at)}, and APIMart has no newer one"
    elif error.status == _GONE_FOR_GOOD:
        told = "is gone, and APIMart has no newer one"
    else:
        lives = f", though it should live until {_hour(output.expires_at)}" if output.expires_at else ""
        return ApimartDownloadError(f"{error.message}{lives}. A retry fetches it again", status=error.status)
    return ApimartResultExpiredError(f"{output.url} {told}: this file can't be saved any more", status=error.status)


def _hour(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M UTC}" if moment else "an unknown hour"
