"""
Plugin that adds the pages to Airflow's interface.

Every Airflow process imports it, so it imports nothing but the class of plugins. The API server imports the pages when
somebody opens the first of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_apimart.compat.versions import HAS_NO_PAGES
from airflow_provider_apimart.links.pages import PREFIX, base_path

_Scope = MutableMapping[str, Any]
_Application = Callable[[_Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]


class _LazyPages:
    """The application of the pages, which is made for the first request."""

    async def __call__(
        self, scope: _Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]
    ) -> None:
        await self._application(scope, receive, send)

    @cached_property
    def _application(self) -> _Application:
        from airflow_provider_apimart.plugin.app import create_app

        return create_app()


def _applications() -> list[dict[str, Any]]:
    return [{"app": _LazyPages(), "url_prefix": PREFIX, "name": "APIMart"}]


def _views() -> list[dict[str, Any]]:
    root = f"{base_path()}{PREFIX}"
    return [
        {
            "name": "APIMart",
            "href": f"{root}/",
            "destination": "nav",
            "url_route": "apimart",
            "icon": f"{root}/static/icon.svg",
            "icon_dark_mode": f"{root}/static/icon-dark.svg",
            # From Airflow 3.3 on beside Airflow's own pages, before in the menu of plugins.
            "nav_top_level": True,
        }
    ]


class ApimartPlugin(AirflowPlugin):
    """The pages *Batches*, *Gallery* and *Cost*. Below Airflow 3.1 it adds nothing."""

    name = "apimart"
    fastapi_apps = [] if HAS_NO_PAGES.is_present else _applications()
    external_views = [] if HAS_NO_PAGES.is_present else _views()
