"""Cost of the plugin in all processes of Airflow, and versions without it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_apimart.plugin import plugin
from tests.airflow_versions import needs

pytestmark = pytest.mark.slow

PROBE = """
import json, sys
import airflow.plugins_manager
before = set(sys.modules)
import airflow_provider_apimart.plugin.plugin
ours = sorted(set(sys.modules) - before - {"airflow_provider_apimart"})
print(json.dumps(ours))
"""


def test_loading_it_imports_neither_fastapi_nor_templates(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [
        "airflow_provider_apimart.compat",
        "airflow_provider_apimart.compat.versions",
        "airflow_provider_apimart.links",
        "airflow_provider_apimart.links.pages",
        "airflow_provider_apimart.plugin",
        "airflow_provider_apimart.plugin.plugin",
    ]


@pytest.mark.parametrize(
    ("version", "pages"), [("2.11.2", 0), ("3.0.6", 0), ("3.1.8", 1), ("3.2.2", 1), ("3.3.2", 1), ("3.4.0b2", 1)]
)
def test_below_3_1_it_adds_nothing(version: str, pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("airflow.__version__", version)
        loaded = importlib.reload(plugin).ApimartPlugin
    assert len(loaded.fastapi_apps) == len(loaded.external_views) == pages
    importlib.reload(plugin)


@pytest.mark.parametrize(
    ("base_url", "href"),
    [
        ("", "/apimart/"),
        ("http://airflow", "/apimart/"),
        ("http://airflow:8080/", "/apimart/"),
        ("https://host/team/airflow/", "/team/airflow/apimart/"),
    ],
)
@needs("page of a plugin")
def test_its_address_carries_the_path_of_the_interface(
    base_url: str, href: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    (view,) = importlib.reload(plugin).ApimartPlugin.external_views
    assert view["href"] == href
    monkeypatch.undo()
    importlib.reload(plugin)
