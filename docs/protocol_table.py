"""Table of the documentation that is made from the protocol's own table, ``durable/decision.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_provider_apimart.durable.decision import FIRST_RULES, RULES, Action

PAGE = Path(__file__).parent / "durable-execution.rst"
BEGIN, END = ".. protocol-table: begin", ".. protocol-table: end"

_WORDS = {
    Action.SUBMIT: "submits",
    Action.SUBMIT_NEXT: "submits a new generation, with a new key",
    Action.REPEAT: "repeats the identical request with the same key",
    Action.READ_STATUS: "reads the status first; if it can't be read, the try fails and submits nothing",
    Action.RESUME: "waits for it, or returns it",
    Action.STOP: "fails, and says what to check. Clearing the task after that pays for a new one",
}


def table() -> str:
    """Return the table in reST."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "", "   * - Found", "     - Action")
    for rule in (*FIRST_RULES, *RULES):
        yield f"   * - {rule.finds}"
        yield f"     - {_WORDS[rule.does]}"


def main() -> None:
    """Write the table into its page."""
    before, _, rest = PAGE.read_text().partition(f"{BEGIN}\n")
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")


if __name__ == "__main__":
    main()
