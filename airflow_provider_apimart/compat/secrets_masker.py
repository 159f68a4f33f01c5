"""Registration of secrets with Airflow's masker, which replaces them in logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

# Airflow 3.1 and later, 3.0, 2.11.
_MODULES = ("airflow.sdk.log", "airflow.sdk.execution_time.secrets_masker", "airflow.utils.log.secrets_masker")
# The masker replaces a text wherever it occurs, so a short or plain word would make logs unreadable.
_SHORTEST = 8


def mask_secrets(secrets: Iterable[str]) -> None:
    """Register secrets, from code that may block."""
    mask = _function("mask_secret")
    for secret in filter(_is_maskable, secrets):
        mask(secret)


async def amask_secrets(secrets: Iterable[str]) -> None:
    """
    Register secrets, from an event loop, where the blocking form could wait for a reply that the loop has to read.

    An older Airflow has no other form; there, only what the provider itself shows is redacted.
    """
    with suppress(ImportError):
        mask = _function("amask_secret")
        for secret in filter(_is_maskable, secrets):
            await mask(secret)


def _is_maskable(secret: str) -> bool:
    return len(secret) >= _SHORTEST and not secret.isalpha()


def _function(name: str) -> Callable[[str], Any]:
    for module in _MODULES:
        with suppress(ImportError, AttributeError):
            found: Callable[[str], Any] = getattr(import_module(module), name)
            return found
    raise ImportError(f"this version of Airflow has no {name}")
