"""A part of Airflow's API server: its auth manager, its cookies, and the pages below it."""

from __future__ import annotations

from typing import Any

from airflow import settings
from airflow.api_fastapi.app import get_auth_manager, init_auth_manager, purge_cached_app
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.models import import_all_models
from airflow.models.base import Base
from fastapi import FastAPI
from fastapi.testclient import TestClient

from airflow_provider_apimart.links.pages import PREFIX
from airflow_provider_apimart.plugin.plugin import ApimartPlugin


def airflow_with_pages(root_path: str = "") -> FastAPI:
    """
    Return an application with the plugin's pages, mounted as Airflow mounts them, and a fresh auth manager.

    :param root_path: The path of ``[api] base_url``.
    """
    # What the auth manager and the names of teams are read from.
    import_all_models()
    Base.metadata.create_all(settings.engine)
    purge_cached_app()
    host = FastAPI(root_path=root_path)
    init_auth_manager(host)
    for each in ApimartPlugin.fastapi_apps:
        host.mount(each["url_prefix"], type(each["app"])())
    return host


def client(host: FastAPI, user: Any = None) -> TestClient:
    """
    Return a browser, so to speak.

    :param user: Who is logged in, ``None`` for nobody.
    """
    cookies = {} if user is None else {COOKIE_NAME_JWT_TOKEN: get_auth_manager().generate_jwt(user)}
    return TestClient(
        host, base_url=f"http://testserver{host.root_path}{PREFIX}", cookies=cookies, follow_redirects=False
    )


def simple_user(name: str, role: str | None, teams: list[str] | None = None) -> Any:
    """Return a user of the simple auth manager."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    more = {} if teams is None else {"teams": teams}
    return SimpleAuthManagerUser(username=name, role=role, **more)
