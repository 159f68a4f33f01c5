from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_the_page_is_the_protocol_of_today() -> None:
    made = runpy.run_path(str(DOCS / "protocol_table.py"))
    assert made["table"]() in made["PAGE"].read_text(), "Run: python docs/protocol_table.py"
