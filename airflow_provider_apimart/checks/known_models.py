"""Descriptions of models, kept in the process for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.models import list_models
from airflow_provider_apimart.checks.findings import Models
from airflow_provider_apimart.exceptions import ApimartError

KEPT_SECONDS = 300.0
# Trouble passes sooner, but a thousand tasks of one process shouldn't wait for it one after the other.
TROUBLE_KEPT_SECONDS = 60.0


@dataclass(frozen=True)
class _Kept:
    until: float
    models: Models | ApimartError


@dataclass
class KnownModels:
    """
    The descriptions of each API key, read once and kept for some minutes.

    :param clock: Seconds that only grow.
    """

    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def read(self, key_scope: str) -> Flow[Models]:
        """
        Return the descriptions that an API key sees, with one request at most.

        :param key_scope: Identifies the API key and its host, see
            :attr:`~airflow_provider_apimart.hooks.apimart.ApimartHook.key_scope`.
        :raises ApimartError: If they cannot be read now, or couldn't a moment ago.
        """
        kept = self._kept.get(key_scope)
        if kept is None or kept.until <= self.clock():
            kept = self._kept[key_scope] = yield from self._read()
        if isinstance(kept.models, ApimartError):
            # Raised again and again, it would collect their frames.
            raise kept.models.with_traceback(None)
        return kept.models

    def _read(self) -> Flow[_Kept]:
        try:
            models = Models((yield from list_models()))
        except ApimartError as error:
            return _Kept(self.clock() + TROUBLE_KEPT_SECONDS, error)
        return _Kept(self.clock() + KEPT_SECONDS, models)

    def forget(self) -> None:
        """Forget all descriptions."""
        self._kept.clear()


#: Those of this process.
KNOWN_MODELS = KnownModels()
