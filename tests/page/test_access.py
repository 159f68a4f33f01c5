"""Access to every route of the pages, as Airflow's own auth managers decide."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from airflow_provider_apimart.plugin.app import _ROUTES
from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import running
from tests.page import content
from tests.page.host import airflow_with_pages, client, simple_user

PAGES = ("/", "/gallery", "/cost")


@pytest.fixture
def two_dags(apimart: Sandbox, place: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Make pictures in an open and in a secret DAG, and return every address that names something of each."""
    found: dict[str, list[str]] = {}
    for dag_id in ("open", "secret"):
        content.batch(dag_id, tmp_path / dag_id, [{"id": f"{dag_id}-item", "prompt": f"{dag_id} fox"}])
        content.generation(dag_id, prompt=f"{dag_id} heron", destination=(tmp_path / dag_id).as_uri())
        found[dag_id] = [f"/gallery?dag_id={dag_id}", f"/cost?dag_id={dag_id}", f"/cost.csv?dag_id={dag_id}"]
    admin = client(_host(), simple_user("admin", "ADMIN"))
    for dag_id, paths in found.items():
        paths += [f"/live?work={work}" for work in _named(admin, "/", 'data-work="') if work.startswith(f"{dag_id}.")]
        items = {path.partition("?")[0] for path in _named(admin, f"/gallery?dag_id={dag_id}", 'href="/apimart/items')}
        assert len(items) == 2
        for item in items:
            paths += [f"/items{item}", f"/files{item}/0", f"/thumbnails{item}/0"]
    return found


def _host() -> FastAPI:
    async def made() -> FastAPI:
        return airflow_with_pages()

    return asyncio.run(made())


def _named(browser: TestClient, path: str, before: str) -> list[str]:
    return [part.partition('"')[0] for part in browser.get(path).text.split(before)[1:]]


def answers(browser: TestClient, path: str) -> tuple[int, str]:
    reply = browser.get(path, headers={"Accept": "text/html"})
    return reply.status_code, reply.text


def sees(browser: TestClient, dag_id: str, paths: list[str]) -> bool:
    """Whether anything of a DAG is shown anywhere, or everything."""
    shown = [answers(browser, path) for path in (*paths, *PAGES, "/cost.csv", f"/gallery?q={dag_id}", f"/?q={dag_id}")]
    listed = [text for status, text in shown if status == 200]
    # What was asked for is repeated in a form; what there is comes with an address, a row or an option.
    marks = (
        f"{dag_id}-item",
        f"{dag_id} fox",
        f"{dag_id} heron",
        f"/dags/{dag_id}",
        f"<option>{dag_id}",
        f",{dag_id},",
    )
    is_told = any(mark in text for text in listed for mark in marks)
    is_served = any(status == 200 for path, (status, _) in zip(paths, shown, strict=False) if path.count("/") > 2)
    assert is_told == is_served
    return is_told


def test_a_viewer_sees_all(two_dags: dict[str, list[str]]) -> None:
    browser = client(_host(), simple_user("viewer", "VIEWER"))
    for dag_id, paths in two_dags.items():
        assert sees(browser, dag_id, paths)
        assert {answers(browser, path)[0] for path in paths} == {200}


def test_somebody_without_a_role_sees_nothing(two_dags: dict[str, list[str]]) -> None:
    browser = client(_host(), simple_user("somebody", None))
    for dag_id, paths in two_dags.items():
        assert not sees(browser, dag_id, paths)


@pytest.mark.parametrize("accept", ["text/html,*/*", "application/json", "image/*"])
def test_nobody_is_answered_on_any_route(two_dags: dict[str, list[str]], accept: str) -> None:
    browser = client(_host())
    known = [path for paths in two_dags.values() for path in paths]
    for path in (*_ROUTES, *known, "/static/page.css", "/static/page.js"):
        reply = browser.get(path.replace("{number}", "0"), headers={"Accept": accept})
        if "text/html" in accept:
            assert reply.status_code == 307, path
            assert reply.headers["location"].startswith("/api/v2/auth/login?next=")
        else:
            assert reply.status_code == 401, path
        assert "secret" not in reply.text
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_the_login_page_leads_back(place: Path) -> None:
    reply = client(_host()).get("/gallery?dag_id=a&task_id=b", headers={"Accept": "text/html"})
    query = parse_qs(urlsplit(reply.headers["location"]).query)
    assert query["next"] == ["http://testserver/apimart/gallery?dag_id=a&task_id=b"]


@pytest.mark.parametrize(
    "token", ["", "nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJBRE1JTiJ9."]
)
def test_a_forged_token_is_worth_nothing(place: Path, token: str) -> None:
    browser = client(_host())
    for headers in ({"Cookie": f"_token={token}"}, {"Authorization": f"Bearer {token}"}):
        assert browser.get("/", headers=headers).status_code in (401, 403)
        # A browser whose cookie was signed with the key before a restart is led to the login page.
        reply = browser.get("/cost", headers=headers | {"Accept": "text/html"})
        assert reply.status_code == 307
        assert reply.headers["location"].startswith("/api/v2/auth/login?next=")


def test_a_bearer_token_is_as_good_as_a_cookie(place: Path) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    browser = client(_host())
    token = get_auth_manager().generate_jwt(simple_user("viewer", "VIEWER"))
    assert browser.get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize("dag_id", ["", None, 7, ["open"], {"a": 1}, " "])
def test_an_entry_without_a_dag_is_nobodys(place: Path, tmp_path: Path, dag_id: object) -> None:
    folder = place / "index" / "2026-11"
    folder.mkdir(parents=True)
    entry = {"kind": "batch", "dag_id": dag_id, "task_id": "t", "run_id": "r", "counts": {"completed": 1}}
    (folder / "forged.json").write_text(json.dumps(entry))
    page = client(_host(), simple_user("viewer", "VIEWER")).get("/").text
    # A number is the id that Airflow would ask about too.
    assert ("data-work" in page) == (dag_id == 7)


@pytest.mark.skipif(running < (3, 3), reason="the simple auth manager has teams from Airflow 3.3 on")
def test_a_member_of_one_team_sees_nothing_of_another(
    two_dags: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "one:viewer:one,two:viewer:two")
    with _teams({"open": "one", "secret": "two"}):
        browser = client(_host(), simple_user("one", "VIEWER", ["one"]))
        assert sees(browser, "open", two_dags["open"])
        assert not sees(browser, "secret", two_dags["secret"])
    # A DAG that was deleted belongs to no team, and so would be everybody's.
    with _teams({"open": "one"}):
        assert sees(browser, "open", two_dags["open"])
        assert not sees(browser, "secret", two_dags["secret"])


@contextmanager
def _teams(teams: dict[str, str]) -> Iterator[None]:
    """Let DAGs belong to teams in Airflow's database."""
    from airflow import settings
    from airflow.models import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.team import Team
    from sqlalchemy.orm import Session

    with Session(settings.engine) as session:
        for dag_id, name in teams.items():
            bundle = DagBundleModel(name=f"bundle-{name}")
            bundle.teams.append(Team(name=name))
            session.add(bundle)
            session.flush()
            session.add(DagModel(dag_id=dag_id, bundle_name=bundle.name, fileloc=f"/{dag_id}.py"))
        session.commit()
    try:
        yield
    finally:
        with Session(settings.engine) as session:
            for model in (DagModel, DagBundleModel, Team):
                for row in session.query(model).all():
                    session.delete(row)
            session.commit()


FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


@pytest.mark.skipif(
    importlib.util.find_spec("airflow.providers.fab") is None, reason="the FAB auth manager isn't installed"
)
def test_the_fab_auth_manager_decides_for_each_dag(
    two_dags: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", FAB)
    rights = [("can_read", "DAGs"), ("can_read", "XComs")]
    with _fab_users({"reader": [("can_read", "DAG:open"), rights[1]], "all": rights, "blind": [rights[0]]}) as users:
        host = users.pop("host")
        reader, everything, blind = (client(host, users[name]) for name in ("reader", "all", "blind"))
        assert sees(reader, "open", two_dags["open"])
        assert not sees(reader, "secret", two_dags["secret"])
        for dag_id, paths in two_dags.items():
            assert sees(everything, dag_id, paths)
            # The right to read a DAG doesn't include its results.
            assert not sees(blind, dag_id, paths)
        assert client(host).get("/").status_code == 401


@contextmanager
def _fab_users(rights: dict[str, list[tuple[str, str]]]) -> Iterator[dict[str, Any]]:
    """Provide users of the FAB auth manager with some rights, and the application under ``host``."""
    from airflow import settings
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.providers.fab.auth_manager.models import metadata

    metadata.create_all(settings.engine)
    host = _host()
    flask: Any = get_auth_manager().flask_app  # type: ignore[attr-defined]  # only FAB has one
    with flask.app_context():
        manager = flask.appbuilder.sm
        users: dict[str, Any] = {"host": host}
        for name, wanted in rights.items():
            role = manager.add_role(f"role-{name}")
            for action, resource in wanted:
                manager.add_permission_to_role(role, manager.create_permission(action, resource))
            users[name] = manager.add_user(name, name, name, f"{name}@example.com", role, password="x")
        yield users
