"""Partial failures: each of many files fails alone, and one error is raised for all failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_apimart.exceptions import ApimartError

T = TypeVar("T")

_MOST_NAMED = 100


def returning_errors(act: Callable[..., T]) -> Callable[..., T | ApimartError]:
    """Return a function that returns an error of the provider instead of raising it, so that the others go on."""

    def returning(*arguments: Any) -> T | ApimartError:
        try:
            return act(*arguments)
        except ApimartError as error:
            return error

    return returning


def split_errors(outcomes: Iterable[T | ApimartError]) -> tuple[list[T], list[ApimartError]]:
    """Return the results and the errors."""
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

    :param saved: The number of files that were saved.
    :raises ApimartError: Of a class that is retried, if one of the failures is. It names the first hundred of them.
    """
    if not failures:
        return
    first = min(failures, key=lambda error: isinstance(error, AirflowFailException))
    if len(failures) == 1 and not saved:
        raise first
    lines = [f"- {error}" for error in failures[:_MOST_NAMED]]
    if len(failures) > _MOST_NAMED:
        lines.append(f"- and {len(failures) - _MOST_NAMED:,} more, see the log")
    summary = f"{len(failures):,} of {len(failures) + saved:,} files or generations couldn't be saved"
    raise type(first)(
        "\n".join([f"{summary}; the others are saved, and a retry skips them:", *lines]),
        status=first.status,
        generation_id=first.generation_id,
    ) from first
