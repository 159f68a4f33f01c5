"""Many things of which each fails alone, and one error for all that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_apimart.exceptions import ApimartError

T = TypeVar("T")

_MOST_TOLD = 100


def returning_errors(act: Callable[..., T]) -> Callable[..., T | ApimartError]:
    """Return a function that returns what went wrong instead of raising it, so that the others go on."""

    def acted(*arguments: Any) -> T | ApimartError:
        try:
            return act(*arguments)
        except ApimartError as error:
            return error

    return acted


def split_errors(outcomes: Iterable[T | ApimartError]) -> tuple[list[T], list[ApimartError]]:
    """Return what was done, and what went wrong."""
    done: list[T] = []
    failures: list[ApimartError] = []
    for outcome in outcomes:
        if isinstance(outcome, ApimartError):
            failures.append(outcome)
        else:
            done.append(outcome)
    return done, failures


def raise_partial_failure(failures: Sequence[ApimartError], saved: int) -> None:
    """
    Raise one error for all failures, if there are any.

    :param saved: How many others lie at the destination.
    :raises ApimartError: Of a kind that a retry may mend, if one of them is. It names the first hundred of them.
    """
    if not failures:
        return
    first = min(failures, key=lambda error: isinstance(error, AirflowFailException))
    if len(failures) == 1 and not saved:
        raise first
    told = [f"- {error}" for error in failures[:_MOST_TOLD]]
    if len(failures) > _MOST_TOLD:
        told.append(f"- and {len(failures) - _MOST_TOLD:,} more, see the log")
    summary = f"{len(failures):,} of {len(failures) + saved:,} files or generations couldn't be saved"
    raise type(first)(
        "\n".join([f"{summary}; the others lie there, and a retry leaves them alone:", *told]),
        status=first.status,
        generation_id=first.generation_id,
    ) from first
