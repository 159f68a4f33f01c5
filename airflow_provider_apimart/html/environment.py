"""Rendering of HTML templates. Values are escaped unless a template marks them as safe."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_apimart.html.formatting import bytes_words, dollars, moment_words, span_words, status_words

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return a page or a part of one."""
    return str(_environment().get_template(template).render(values))


@cache
def _environment() -> Any:
    # Not at the top: workers import this module's package with every batch.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "dollars": dollars,
        "status": status_words,
        "moment": moment_words,
        "span": span_words,
        "bytes": bytes_words,
    }
    return environment
