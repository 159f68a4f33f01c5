"""Gallery of a batch: an HTML page beside the ledger, with results, prompts, costs and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from urllib.parse import quote

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.summary import BatchCounts, describe
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.html.environment import STATIC, render

# URLs that a browser would run rather than show.
_EXECUTABLE = frozenset({"javascript", "vbscript", "data"})
# Videos of which a first picture is loaded with the page.
_EARLY = 24


@dataclass(frozen=True)
class _Card:
    """
    One item on the page.

    :param media: Kind and address of each of its files.
    :param reason: Why it is missing, empty if it isn't.
    """

    entry: LedgerEntry
    media: tuple[tuple[str, str], ...]
    reason: str
    facts: tuple[str, ...]
    is_early: bool


def gallery(task: TaskIdentity, counts: BatchCounts, entries: Iterable[LedgerEntry], folder: str) -> str:
    """
    Return the page as HTML without scripts or other files, apart from the images, videos and audio themselves.

    :param folder: URI of the directory in which the page will be: files below it are linked relatively, so that the
        folder can be moved or served.
    """
    shown = list(entries)
    return render(
        "standalone.html",
        {
            "title": f"{task.task_id} · {task.dag_id} · {task.run_id}",
            "dag_id": task.dag_id,
            "run_id": task.run_id,
            "task_id": task.task_id,
            "map_index": task.map_index if task.map_index >= 0 else None,
            "summary": describe(counts),
            "models": _models(shown),
            "cards": [_card(entry, folder, number < _EARLY) for number, entry in enumerate(shown)],
            "style": (STATIC / "page.css").read_text(encoding="utf-8"),
        },
    )


def _card(entry: LedgerEntry, folder: str, is_early: bool) -> _Card:
    is_done = entry.status in (ItemStatus.COMPLETED, ItemStatus.REUSED)
    reason = entry.reason or ("" if is_done else entry.status.value.replace("_", " "))
    cost = None if entry.cost is None else written_dollars(entry.cost)
    facts = (entry.id, entry.model, cost, entry.generation_id)
    return _Card(entry, tuple(_media(entry, folder)), reason, tuple(filter(None, facts)), is_early)


def _models(entries: Iterable[LedgerEntry]) -> list[tuple[str, int, Decimal]]:
    """Return completed items and dollars by model, the dearest first."""
    completed: Counter[str] = Counter()
    costs: dict[str, Decimal] = {}
    for entry in entries:
        model = entry.model or "unknown"
        completed[model] += entry.status is ItemStatus.COMPLETED
        costs[model] = costs.get(model, Decimal(0)) + entry.total_cost
    return [(model, completed[model], costs[model]) for model in sorted(costs, key=lambda each: -costs[each])]


def _media(entry: LedgerEntry, folder: str) -> Iterator[tuple[str, str]]:
    if entry.files:
        found = [(str(file.get("media_type", "")), _relative(str(file["uri"]), folder)) for file in entry.files]
    else:
        found = [(str(each.get("kind", "")), str(each["url"])) for each in entry.outputs if each.get("url")]
    for kind, source in found:
        if source.partition(":")[0].lower().strip() not in _EXECUTABLE:
            yield next((each for each in ("video", "audio") if kind.startswith(each)), "image"), source


def _relative(uri: str, folder: str) -> str:
    inside = uri.removeprefix("file://").removeprefix(folder.removeprefix("file://").rstrip("/") + "/")
    return uri if PurePosixPath(inside).is_absolute() or "://" in inside else quote(inside)
