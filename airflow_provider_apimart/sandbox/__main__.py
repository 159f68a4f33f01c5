"""Run the sandbox from the command line until it is interrupted."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from decimal import Decimal

from airflow_provider_apimart.sandbox.dialects import DIALECTS
from airflow_provider_apimart.sandbox.faults import KINDS, parse_fault
from airflow_provider_apimart.sandbox.sandbox import Sandbox
from airflow_provider_apimart.sandbox.settings import SandboxSettings

DEFAULTS = SandboxSettings()


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    described = argparse.ArgumentParser(
        prog="python -m airflow_provider_apimart.sandbox",
        description="APIMart on your own machine: runs your DAGs at no cost.",
        epilog=f"Faults: {', '.join(KINDS)}. Written KIND:SHARE or KIND@ROUTE:SHARE, then :before or :after at will.",
    )
    add = described.add_argument
    add("--host", default=DEFAULTS.host, help="address to listen on (%(default)s)")
    add("--port", type=int, default=DEFAULTS.port, help="port to listen on; 0 takes a free one")
    add("--api-key", default=DEFAULTS.api_key, help="the key that works (%(default)s)")
    add("--balance", type=Decimal, default=DEFAULTS.balance, help="US dollars on that key (%(default)s)")
    add("--seconds", type=float, default=DEFAULTS.seconds, help="mean time an image takes (%(default)s)")
    add("--rate-limit", type=float, default=None, metavar="N", help="API calls a second (unlimited)")
    add("--dialect", default=DEFAULTS.dialect, help=f"{', '.join(DIALECTS)}, or shapes such as S2+T8@both")
    add("--seed", type=int, default=DEFAULTS.seed, help="where run times and random faults start from")
    add("--fault", action="append", default=[], metavar="KIND:SHARE", help="let a share of requests go wrong")
    add("--any-model", action="store_true", help="accept model names the sandbox doesn't know")
    add("--ignore-idempotency", action="store_true", help="take every POST as new, whatever its Idempotency-Key")
    return described


def sandbox_of(arguments: Sequence[str] | None = None) -> Sandbox:
    """Make the sandbox a command line asks for, not yet started; a wrong one ends the program with the reason."""
    described = parser()
    wish = vars(described.parse_args(arguments))
    try:
        faults = [parse_fault(text) for text in wish.pop("fault")]
        return Sandbox(SandboxSettings(**wish), faults=faults)
    except ValueError as error:
        described.error(str(error))


def greeting(sandbox: Sandbox) -> str:
    """Say where a sandbox listens, and how Airflow gets there."""
    return (
        f"APIMart sandbox: {sandbox.base_url}/   (what it was asked, made and billed)\n"
        f"export AIRFLOW_CONN_APIMART_DEFAULT='{sandbox.connection_json()}'\n"
        "Stop it with Ctrl+C."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sandbox until somebody interrupts it."""
    with sandbox_of(arguments) as sandbox:
        try:
            print(greeting(sandbox), flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"\nMade {sandbox.accepted}, billed {sandbox.billed}: US$ {sandbox.dollars} that nobody pays.")


if __name__ == "__main__":
    main()
