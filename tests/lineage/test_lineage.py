"""Lineage: bounded, plain, named after OpenLineage's rules, and never a reason for a paid task to fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AssetAlias

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation, Output, OutputKind
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.lineage.emitter import EmitsLineage
from airflow_provider_apimart.lineage.event_content import MOST_LISTED, FileFacts, GenerationFacts, task_facts, unsaved
from airflow_provider_apimart.lineage.openlineage import FACET_KEY, operator_lineage
from airflow_provider_apimart.results.storage.paths import StorageUri

LEDGER = "s3://aws_default@bucket/day/ledger.jsonl"


def made(number: int, file_count: int = 1) -> GenerationFacts:
    generation = Generation(
        f"task_{number}",
        GenerationStatus.COMPLETED,
        "completed",
        modality=Modality.IMAGE,
        model="m",
        cost=Decimal("0.01"),
    )
    files = (FileFacts(f"s3://conn@bucket/day/task_{number}_{index}.png", "ab" * 32, 7) for index in range(file_count))
    return GenerationFacts(generation, tuple(files))


@pytest.mark.parametrize(
    ("generations", "files_each", "told_generations", "told_files"),
    [(1, 1, 1, 1), (5000, 1, 100, 100), (30, 4, 25, 100), (1, 250, 1, 100), (34, 3, 34, 100), (300, 0, 100, 0)],
)
def test_an_event_lists_a_hundred_files_and_counts_the_rest(
    generations: int, files_each: int, told_generations: int, told_files: int
) -> None:
    facts = task_facts((made(number, files_each) for number in range(generations)), ledger=LEDGER)
    extra = json.loads(json.dumps(facts.to_json(), allow_nan=False))
    assert len(extra["generations"]) == told_generations
    assert sum(len(generation["files"]) for generation in extra["generations"]) == told_files <= MOST_LISTED
    assert extra["generation_count"] == generations
    assert extra["file_count"] == generations * files_each
    assert extra["cost"] == pytest.approx(generations / 100)
    assert extra["ledger"] == LEDGER


def test_an_unreported_cost_is_unknown_and_not_zero() -> None:
    generation = Generation("task_1", GenerationStatus.RUNNING, "queued")
    extra = task_facts([unsaved(generation)]).to_json()
    assert extra["cost"] is None
    assert extra["generations"][0]["status"] == "queued"


@pytest.mark.parametrize(
    ("uri", "public", "dataset"),
    [
        ("s3://conn@bucket/a/b.png", "s3://bucket/a/b.png", ("s3://bucket", "a/b.png")),
        ("gs://bucket/a/", "gs://bucket/a", ("gs://bucket", "a/")),
        ("file:///data/a.png", "file:///data/a.png", ("file", "/data/a.png")),
        ("file://conn@/data/a.png", "file:///data/a.png", ("file", "/data/a.png")),
        ("/data/a@b.png", "file:///data/a@b.png", ("file", "/data/a@b.png")),
        ("s3://bucket", "s3://bucket", ("s3://bucket", "")),
    ],
)
def test_a_place_is_known_outside_of_airflow_without_its_connection(
    uri: str, public: str, dataset: tuple[str, str]
) -> None:
    assert StorageUri.of(uri).public == public
    assert StorageUri.of(uri).dataset == dataset


class Operator(EmitsLineage):
    """Whatever makes generations."""


def context(*outlets: Any, **more: Any) -> Any:
    return {"task": SimpleNamespace(outlets=list(outlets)), **more}


def test_an_error_in_reporting_fails_no_task(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Iterator[GenerationFacts]:
        yield made(1)
        raise RuntimeError("the ledger can't be read")

    operator = Operator()
    operator.emit_lineage(context(), broken())
    operator.emit_lineage(context("an outlet"), [made(1)])
    assert caplog.text.count("The task continues") == 2
    assert "the ledger can't be read" in caplog.text


def test_outlets_that_are_no_assets_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Events:
        def __getitem__(self, key: object) -> None:
            raise TypeError("Key should be either an asset or an asset alias")

    Operator().emit_lineage(context("a file", outlet_events=Events()), [made(1)])
    assert caplog.text == ""


@pytest.mark.parametrize("version", ["2.11.2", "3.0.6", "3.1.0"])
def test_an_alias_carries_flat_values_where_airflow_hashes_them(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("airflow.__version__", version)
    events: list[dict[str, Any]] = []
    accessor = SimpleNamespace(add=lambda asset, extra: events.append(extra))
    alias = AssetAlias("places")

    class Events:
        # Airflow 3.0's aliases can't be keys.
        def __getitem__(self, key: object) -> object:
            assert key is alias
            return accessor

    told = context(alias, outlet_events=Events())
    Operator().emit_lineage(told, [made(1)], destination="s3://conn@bucket/day/")
    (extra,) = events
    assert frozenset(extra.items())
    assert json.loads(extra["generations"]) == [made(1).to_json()]


def test_openlineage_receives_what_was_saved() -> None:
    lineage = operator_lineage(task_facts([made(1, 2)], ledger=LEDGER))
    assert lineage is not None
    assert [(output.namespace, output.name) for output in lineage.outputs] == [
        ("s3://bucket", "day/task_1_0.png"),
        ("s3://bucket", "day/task_1_1.png"),
    ]
    outputs: list[Any] = lineage.outputs
    assert [output.outputFacets["outputStatistics"].size for output in outputs] == [7, 7]
    facet: Any = lineage.run_facets[FACET_KEY]
    assert (facet.generationCount, facet.fileCount, facet.cost, facet.ledger) == (1, 2, 0.01, LEDGER)
    assert facet.generations[0]["generation_id"] == "task_1"


def test_temporary_urls_are_no_datasets() -> None:
    output = Output("https://cdn.example/a.png", OutputKind.IMAGE, datetime(2026, 1, 1, tzinfo=UTC))
    generation = Generation("task_1", GenerationStatus.COMPLETED, "completed", outputs=(output,))
    lineage = operator_lineage(task_facts([unsaved(generation)]))
    assert lineage is not None
    assert lineage.outputs == []
    facet: Any = lineage.run_facets[FACET_KEY]
    assert facet.generations[0]["files"][0]["uri"] == output.url


def test_without_airflows_openlineage_provider_there_is_nothing_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.extractors", None)
    assert operator_lineage(task_facts([made(1)])) is None
