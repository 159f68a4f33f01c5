"""Airflow's own commands, as the children of a fork server run them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from airflow import settings
from airflow.__main__ import main
from airflow.cli import cli_parser
from airflow.cli.commands import dag_command  # noqa: F401 - warms the import for the forks
from airflow.providers_manager import ProvidersManager

from tests.airflow_versions import running
from tests.lab.crash_points import install


def prepare_database() -> None:
    """Make the database of which each Airflow gets a copy."""
    _main("db", "migrate")


def warm_up() -> None:
    """Do once what every forked process would do again."""
    cli_parser.get_parser()
    ProvidersManager().initialize_providers_list()
    if running >= (3, 0):
        from tests.lab import in_process_api

        in_process_api.build()
    import alembic.context  # noqa: F401 - warms the import for the forks

    import airflow_provider_apimart.batch.task_try
    import airflow_provider_apimart.hooks.apimart
    import airflow_provider_apimart.triggers.batch
    import airflow_provider_apimart.triggers.generation  # noqa: F401 - warms the import for the forks


def after_fork() -> None:
    """Let a forked process take its settings, logging and database from its own variables."""
    os.chdir(os.environ["AIRFLOW_HOME"])
    settings.dispose_orm()
    settings.initialize()


def run(arguments: Sequence[str], output: str, crash: str | None) -> None:
    """Be the command, whose output goes to a file."""
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    install(crash)
    _main(*arguments)


def _main(*arguments: str) -> None:
    sys.argv = ["airflow", *arguments]
    main()
