"""
Access control: the user of a request, and the DAGs whose results they may see.

Airflow authenticates no route of a plugin. So Airflow's own dependency authenticates each request, and Airflow's auth
manager is asked about each DAG. What the pages show of a task is what its XComs hold, so the right to read the XComs of
the DAG decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from airflow import settings
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from sqlalchemy import select

authenticated = get_user
"""Dependency that returns the user of a request, or answers with 401 or 403."""


def permitted(user: Any, dag_ids: Iterable[str]) -> frozenset[str]:
    """Return the DAGs among some whose results a user may see. It blocks: an auth manager may ask a database."""
    try:
        named = _of_known_teams({dag_id for dag_id in dag_ids if dag_id})
        details, manager = _details(named), get_auth_manager()
        return frozenset(
            dag_id
            for dag_id in named
            if manager.is_authorized_dag(
                method="GET", access_entity=DagAccessEntity.XCOM, details=details(dag_id), user=user
            )
        )
    finally:
        if settings.Session:
            # The FAB auth manager reads in the session of the thread, and leaves it open.
            settings.Session.remove()


def _of_known_teams(dag_ids: set[str]) -> set[str]:
    """
    Return the DAGs whose team Airflow knows, or all of them if it has no teams.

    A deleted DAG has no team any more, and what has no team is shown to every team.
    """
    if not dag_ids or not conf.getboolean("core", "multi_team", fallback=False):
        return dag_ids
    with create_session() as session:
        return set(session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids))))


def _details(dag_ids: set[str]) -> Callable[[str], DagDetails]:
    teams_of = getattr(DagModel, "get_dag_id_to_team_name_mapping", None)
    if teams_of is None or not dag_ids:
        return lambda dag_id: DagDetails(id=dag_id)
    teams = teams_of(list(dag_ids))
    return lambda dag_id: DagDetails(id=dag_id, team_name=teams.get(dag_id))
