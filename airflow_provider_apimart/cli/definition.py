"""Definition of the commands. Every ``airflow`` command imports it, so it imports nothing but their classes."""

from __future__ import annotations

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
)

_PACKAGE = "airflow_provider_apimart.cli"

ARG_FILE = Arg(("file",), help="A JSON Lines file with a request a line, as the batch operator reads it")
ARG_MODALITY = Arg(
    ("--modality",),
    help="For requests that don't say (default: image)",
    choices=("image", "video", "music"),
    default="image",
)
ARG_MODEL = Arg(("--model",), help="For requests that don't say")
ARG_CONN_ID = Arg(("--conn-id",), help="The connection to use (default: apimart_default)", default="apimart_default")
ARG_DIRECTORIES = Arg(
    ("directory",),
    help="Further directories or URIs: destinations of batches and transfers, and libraries",
    nargs="*",
)
ARG_OLDER_THAN = Arg(("--older-than",), help="The least age, such as 12h, 90d or 8w", metavar="AGE", required=True)
ARG_DRY_RUN = Arg(("--dry-run",), help="Remove nothing, and print what would be removed", action="store_true")

COMMANDS = (
    ActionCommand(
        name="clean",
        help="Remove old records, entries of the library and leftovers of killed processes",
        description="Remove old records, entries of the library and leftovers of killed processes from [apimart] "
        "ledger_path, [apimart] library_path and further directories. Results, ledgers and records that still protect "
        "money stay.",
        func=lazy_load_command(f"{_PACKAGE}.clean.clean"),
        args=(ARG_DIRECTORIES, ARG_OLDER_THAN, ARG_DRY_RUN, ARG_VERBOSE),
    ),
    ActionCommand(
        name="doctor",
        help="Check a connection to APIMart at no cost",
        description="Check the API key, balance, clock, proxy, certificates, models and prices of a connection to "
        "APIMart. It costs nothing, and exits with 1 if something is wrong.",
        func=lazy_load_command(f"{_PACKAGE}.doctor.doctor"),
        args=(ARG_CONN_ID, ARG_VERBOSE),
    ),
    ActionCommand(
        name="models",
        help="List the models that the API key may use",
        description="List the models that the API key may use. With --output json, also the values and ranges of their "
        "parameters that APIMart advertises.",
        func=lazy_load_command(f"{_PACKAGE}.models.models"),
        args=(ARG_CONN_ID, ARG_OUTPUT, ARG_VERBOSE),
    ),
    ActionCommand(
        name="quote",
        help="Quote the requests of a file at no cost",
        description="Quote the requests of a JSON Lines file at APIMart's public prices, by model. It costs nothing.",
        func=lazy_load_command(f"{_PACKAGE}.quote.quote"),
        args=(ARG_FILE, ARG_MODALITY, ARG_MODEL, ARG_CONN_ID, ARG_OUTPUT, ARG_VERBOSE),
    ),
)


def get_apimart_cli_commands() -> list[CLICommand]:
    """Return the commands, for Airflow's parser."""
    return [GroupCommand(name="apimart", help="Check and query APIMart", subcommands=COMMANDS)]
