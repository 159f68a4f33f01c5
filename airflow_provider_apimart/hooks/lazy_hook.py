"""Hook of an operator, sensor or transfer, imported on first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_apimart.hooks.apimart import ApimartHook


class LazyHook:
    """Mixin with the hook of the connection that ``apimart_conn_id`` names. Parsing a DAG does not import it."""

    apimart_conn_id: str

    @cached_property
    def hook(self) -> ApimartHook:
        """The hook of the connection."""
        from airflow_provider_apimart.hooks.apimart import ApimartHook

        return ApimartHook(self.apimart_conn_id)
