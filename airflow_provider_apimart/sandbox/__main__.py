"""Run the sandbox from the command line until it is interrupted."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from decimal import Decimal

from airflow_provider_apimart.sandbox.media.state_file import StateFileError
from airflow_provider_apimart.sandbox.sandbox import Sandbox
from airflow_provider_apimart.sandbox.service.dialects import DIALECTS
from airflow_provider_apimart.sandbox.service.faults import KINDS, parse_fault
from airflow_provider_apimart.sandbox.service.settings import SandboxSettings

DEFAULTS = SandboxSettings()


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_apimart.sandbox",
        description="Run a local HTTP server that implements the APIMart API, at no cost.",
        epilog=f"Faults: {', '.join(KINDS)}. "
        "Written KIND:SHARE or KIND@ROUTE:SHARE, optionally followed by :before or :after.",
    )
    add = parser.add_argument
    add("--host", default=DEFAULTS.host, help="address to listen on (%(default)s)")
    add("--port", type=int, default=DEFAULTS.port, help="port to listen on; 0 selects a free one")
    add("--api-key", default=DEFAULTS.api_key, help="the accepted API key (%(default)s)")
    add("--balance", type=Decimal, default=DEFAULTS.balance, help="balance of that key in US dollars (%(default)s)")
    add("--seconds", type=float, default=DEFAULTS.seconds, help="mean run time of an image, in seconds (%(default)s)")
    add("--rate-limit", type=float, default=None, metavar="N", help="API calls per second (unlimited)")
    add("--dialect", default=DEFAULTS.dialect, help=f"{', '.join(DIALECTS)}, or shapes such as S2+T8@both")
    add("--seed", type=int, default=DEFAULTS.seed, help="seed of run times and random faults")
    add("--fault", action="append", default=[], metavar="KIND:SHARE", help="make a share of requests fail")
    add("--state", default=None, metavar="FILE", help="keep the state in this file over a restart")
    add("--account-ratio", type=Decimal, default=DEFAULTS.account_ratio, help="share of public prices that is paid")
    add("--strict", action="store_true", help="refuse unknown parameters")
    add("--max-outputs", type=int, default=None, metavar="N", help="deliver at most N outputs per generation")
    add("--task-visible-after", type=float, default=0.0, metavar="S", help="tasks are unknown (404) for S seconds")
    add("--any-model", action="store_true", help="accept unknown model names")
    add("--ignore-idempotency", action="store_true", help="process every POST as new, in spite of its Idempotency-Key")
    return parser


def sandbox_of(arguments: Sequence[str] | None = None) -> Sandbox:
    """Return the sandbox that a command line describes, not started; an invalid one exits with the reason."""
    parser = argument_parser()
    options = vars(parser.parse_args(arguments))
    try:
        faults = [parse_fault(text) for text in options.pop("fault")]
        return Sandbox(SandboxSettings(**options), faults=faults)
    except ValueError as error:
        parser.error(str(error))


def startup_message(sandbox: Sandbox) -> str:
    """Return the address of a sandbox and the Airflow connection that leads to it."""
    return (
        f"APIMart sandbox: {sandbox.base_url}/   (requests, generations and costs)\n"
        f"export AIRFLOW_CONN_APIMART_DEFAULT='{sandbox.connection_json()}'\n"
        "Press Ctrl+C to stop."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sandbox until it is interrupted."""
    sandbox = sandbox_of(arguments)
    try:
        sandbox.start()
    except (OSError, StateFileError) as error:
        raise SystemExit(f"The sandbox cannot start: {error}") from None
    with sandbox:
        try:
            print(startup_message(sandbox), flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"\nAccepted {sandbox.accepted}, billed {sandbox.billed}: US$ {sandbox.dollars} (simulated).")


if __name__ == "__main__":
    main()
