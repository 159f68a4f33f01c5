"""The provider's description against the schemas of the installed Airflow, and against the package itself."""

from __future__ import annotations

import importlib
import inspect
import json
from importlib.metadata import entry_points, metadata
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

from airflow_provider_apimart.get_provider_info import get_provider_info
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.plugin.plugin import ApimartPlugin

AIRFLOW = Path(airflow.__path__[0])
INFO = get_provider_info()


def schema(name: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((AIRFLOW / name).read_text())
    return loaded


def test_it_validates_against_the_runtime_schema() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_the_connection_form_validates_against_the_schema_of_providers() -> None:
    properties = schema("provider.yaml.schema.json")["properties"]
    assert isinstance(properties, dict)
    for connection_type in INFO["connection-types"]:
        jsonschema.validate(connection_type, properties["connection-types"]["items"])


def test_the_field_behaviour_validates() -> None:
    behaviour = ApimartHook.get_ui_field_behaviour()
    jsonschema.validate(behaviour, schema("customized_form_field_behaviours.schema.json"))
    assert behaviour["relabeling"] == INFO["connection-types"][0]["ui-field-behaviour"]["relabeling"]


def test_the_package_name_is_the_distributions() -> None:
    assert INFO["package-name"] == metadata("airflow-provider-apimart")["Name"]


def test_the_entry_point_leads_here() -> None:
    found = entry_points(group="apache_airflow_provider")
    (ours,) = [point for point in found if point.value.startswith("airflow_provider_apimart.")]
    assert ours.load() is get_provider_info


def test_the_plugin_is_registered_once() -> None:
    """With the provider's info too, Airflow would warn wherever it loads the plugins of providers eagerly."""
    (ours,) = [point for point in entry_points(group="airflow.plugins") if point.name == "apimart"]
    assert ours.value == f"{ApimartPlugin.__module__}:{ApimartPlugin.__name__}"
    assert ours.load().name == ApimartPlugin.name
    assert "plugins" not in INFO


def test_the_connection_type_is_the_hooks() -> None:
    (connection_type,) = INFO["connection-types"]
    assert connection_type["connection-type"] == ApimartHook.conn_type
    assert connection_type["hook-name"] == ApimartHook.hook_name
    assert list(inspect.signature(ApimartHook.__init__).parameters)[1] == ApimartHook.conn_name_attr


@pytest.mark.parametrize(
    ("section", "base"),
    [("hooks", BaseHook), ("operators", BaseOperator), ("sensors", BaseSensorOperator), ("triggers", BaseTrigger)],
)
def test_every_module_listed_exists_and_no_other_does(section: str, base: type) -> None:
    listed = {module for entry in INFO[section] for module in entry["python-modules"]}
    folder = Path(importlib.import_module(f"airflow_provider_apimart.{section}").__file__ or "").parent
    found = set()
    for file in folder.glob("[!_]*.py"):
        module = importlib.import_module(f"airflow_provider_apimart.{section}.{file.stem}")
        classes = [value for _, value in inspect.getmembers(module, inspect.isclass) if issubclass(value, base)]
        # What users import is named after APIMart; a common base of ours isn't.
        if any(each.__module__ == module.__name__ and each.__name__.startswith("Apimart") for each in classes):
            found.add(module.__name__)
    assert listed == found


def test_the_transfer_and_the_links_exist() -> None:
    (transfer,) = INFO["transfers"]
    assert importlib.import_module(transfer["python-module"]).ApimartToObjectStorageOperator
    for path in INFO["extra-links"]:
        module, _, name = path.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), name), BaseOperatorLink)
    assert sorted(path.rpartition(".")[2] for path in INFO["extra-links"]) == [
        "ApimartGalleryLink",
        "ApimartGenerationLink",
    ]


def test_the_wheel_ships_types_and_examples() -> None:
    package = Path(importlib.import_module("airflow_provider_apimart").__file__ or "").parent
    assert (package / "py.typed").exists()
