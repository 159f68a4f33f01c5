"""Contents of the pages, limited to what a reader may see. The functions block, and run in threads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote

from airflow_provider_apimart.api.json_values import items, mapping, moment, money, plain, text
from airflow_provider_apimart.html.environment import render
from airflow_provider_apimart.page_index.entry import IndexEntry, Kind
from airflow_provider_apimart.plugin.access import permitted
from airflow_provider_apimart.plugin.batch_rows import BatchRow
from airflow_provider_apimart.plugin.chart import chart_of
from airflow_provider_apimart.plugin.cost_totals import Figure, figures_of, grouped, total
from airflow_provider_apimart.plugin.gallery import PAGE_SIZE, Sources, all_in_order, gallery_of, neighbours
from airflow_provider_apimart.plugin.generations import Shown
from airflow_provider_apimart.plugin.index import Index, Known
from airflow_provider_apimart.plugin.items import File
from airflow_provider_apimart.plugin.ledgers import Ledgers
from airflow_provider_apimart.plugin.overview import Overview
from airflow_provider_apimart.plugin.query import Query
from airflow_provider_apimart.plugin.storage import NotReadableError, storage_errors

WORKS_A_PAGE = 50
_MOST_LIVE = 100
_MOST_OPTIONS = 200
# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_PERIODS = (7, 30, 90, 365)


class NotFoundError(Exception):
    """Nothing has this address, or the reader may not see it. Both are answered in the same way."""


@dataclass(frozen=True)
class Addresses:
    """
    Addresses of the pages and of Airflow's interface.

    :param root: Their path, without a slash at its end.
    :param airflow: The path of Airflow's interface, without a slash at its end.
    """

    root: str
    airflow: str

    def of(self, page: str, query: str = "") -> str:
        """Return the address of a page."""
        return f"{self.root}/{page}{'?' if query else ''}{query}"

    def task(self, entry: IndexEntry | BatchRow, tab: str = "") -> str:
        """Return the address of a task instance in Airflow."""
        named = [quote(part, safe="") for part in (entry.dag_id, entry.run_id, entry.task_id)]
        mapped = f"/mapped/{entry.map_index}" if entry.map_index is not None and entry.map_index >= 0 else ""
        return "{}/dags/{}/runs/{}/tasks/{}{}{}".format(self.airflow, *named, mapped, tab and f"/{tab}")

    def dag(self, dag_id: str) -> str:
        """Return the address of a DAG in Airflow."""
        return f"{self.airflow}/dags/{quote(dag_id, safe='')}"

    def run(self, entry: IndexEntry | BatchRow) -> str:
        """Return the address of a run in Airflow."""
        return f"{self.dag(entry.dag_id)}/runs/{quote(entry.run_id, safe='')}"

    def item(self, shown: Shown, query: str = "") -> str:
        """Return the address of an opened item."""
        return self.of(f"items/{_name(shown)}/{shown.item.key}", query)

    def file(self, shown: Shown, number: int, kind: str = "files") -> str:
        """Return the address of a file, or of its thumbnail."""
        return self.of(f"{kind}/{_name(shown)}/{shown.item.key}/{number}")


def _name(shown: Shown) -> str:
    return quote(shown.known.entry.name, safe="")


class Pages:
    """
    The pages, for all readers.

    :param index: The index that they read.
    """

    def __init__(self, index: Index, ledgers: Ledgers) -> None:
        self.index = index
        self.ledgers = ledgers
        self._overview = Overview({})

    def seen_by(self, user: Any, name: str | None = None) -> Seen:
        """
        Return what a user may see.

        :param name: Name of an entry, of whose DAG alone something is wanted: a page has many files, and auth managers
            may take long to say what a user may see of each DAG.
        :raises NotReadableError: If the index can't be read.
        """
        with storage_errors("The index at [apimart] ledger_path"):
            entries = self.index.entries()
        overview = self._overview
        if overview.entries is not entries:
            self._overview = overview = Overview(entries)
        wanted = entries.values() if name is None else filter(None, [entries.get(name)])
        return Seen(self, overview, permitted(user, {known.entry.dag_id for known in wanted}))


class Seen:
    """
    What one user may see. Nothing else is reached from here.

    :param overview: All entries.
    :param dags: The DAGs whose results the user may see.
    """

    def __init__(self, pages: Pages, overview: Overview, dags: frozenset[str]) -> None:
        self._pages = pages
        self._overview = overview
        self._dags = dags

    @cached_property
    def _entries(self) -> Mapping[str, Known]:
        entries = self._overview.entries
        return {name: known for name, known in entries.items() if known.entry.dag_id in self._dags}

    @cached_property
    def _batch_rows(self) -> list[BatchRow]:
        return [work for work in self._overview.batch_rows if work.dag_id in self._dags]

    @cached_property
    def _sources(self) -> Sources:
        batches = [known for known in self._entries.values() if known.entry.kind is Kind.BATCH]
        generations = self._overview.generations.values()
        seen = [shown for shown in generations if shown.known.entry.dag_id in self._dags]
        return Sources(batches, seen, self._pages.ledgers.items)

    def batches(self, addresses: Addresses, query: Query) -> str:
        """Return the page *Batches*."""
        works = self._batch_rows
        wanted = [work for work in works if _is_wanted(work, query)]
        pages = max(1, -(-len(wanted) // WORKS_A_PAGE))
        query = replace(query, page=min(query.page, pages))
        begin = (query.page - 1) * WORKS_A_PAGE
        return render(
            "batches.html",
            self._common(addresses, query, "Batches")
            | {
                "works": wanted[begin : begin + WORKS_A_PAGE],
                "total": len(wanted),
                "pages": pages,
                "states": sorted({work.word for work in works}),
                "is_empty": not self._entries,
            },
        )

    def live(self, addresses: Addresses, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return rows of the page *Batches* as they are now, by the ids of the works."""
        wanted = set(list(ids)[:_MOST_LIVE])
        common = self._common(addresses, Query(), "")
        return {
            work.id: {"html": render("work.html", common | {"work": work}), "live": work.state.is_live}
            for work in self._batch_rows
            if work.id in wanted
        }

    def gallery(self, addresses: Addresses, query: Query) -> str:
        """Return the page *Gallery*."""
        found = gallery_of(self._sources, query)
        query = replace(query, page=found.page)
        works = [work for work in self._batch_rows if _is_shown(work, query)]
        return render(
            "gallery.html",
            self._common(addresses, query, "Gallery")
            | {
                "gallery": found,
                "work": works[0] if len(works) == 1 else None,
                "first": (query.page - 1) * PAGE_SIZE + 1,
                "is_empty": not self._entries,
            },
        )

    def item(self, addresses: Addresses, query: Query, name: str, key: str) -> str:
        """
        Return the page of an opened item.

        :raises NotFoundError: If there is none that the user may see.
        :raises NotReadableError: If the ledger can't be read.
        """
        shown = self._shown(name, key)
        said: Mapping[str, Any] = {}
        problem = None
        try:
            said = self._said(shown)
        except NotReadableError as error:
            problem = str(error)
        before, after = neighbours(all_in_order(self._sources, query), shown)
        return render(
            "item.html",
            self._common(addresses, query, "Gallery")
            | {
                "shown": shown,
                "item": shown.item,
                "entry": shown.known.entry,
                "problem": problem,
                "before": before,
                "after": after,
                "request": _parameters(mapping(said.get("request"))),
                "result": _parameters(mapping(said.get("result"))),
                "outputs": _outputs(said, shown),
                "earlier": [_earlier(mapping(each)) for each in items(said.get("earlier"))],
                "saved": moment(said.get("saved")),
                "requested": said.get("requested"),
                "references": _references(said),
            },
        )

    def cost(self, addresses: Addresses, query: Query) -> str:
        """Return the page *Cost*."""
        today = datetime.now(UTC).date()
        figures = figures_of(self._entries, query, today)
        return render(
            "cost.html",
            self._common(addresses, query, "Cost")
            | {
                "chart": chart_of(figures, query.days, today),
                "total": total(figures),
                "figures": figures,
                "groups": {
                    "day": dict(sorted(grouped(figures, lambda each: each.day).items(), reverse=True)),
                    "DAG": grouped(figures, lambda each: each.dag_id),
                    "task": grouped(figures, lambda each: f"{each.dag_id} · {each.task_id}"),
                    "model": grouped(figures, lambda each: each.model),
                },
                "models": sorted({row.model for known in self._entries.values() for row in known.entry.spending}),
                "periods": _PERIODS,
                "is_empty": not self._entries,
            },
        )

    def cost_csv(self, query: Query) -> str:
        """Return the sums of the page *Cost* as CSV."""
        written = io.StringIO()
        rows = csv.writer(written)
        names = ("generations", "cost", "quoted", "reused", "saved")
        rows.writerow(["day", "dag_id", "task_id", "model", *names])
        for each in figures_of(self._entries, query, datetime.now(UTC).date()):
            rows.writerow([*map(_cell, _places(each)), *(_plain(getattr(each.sum, name)) for name in names)])
        return written.getvalue()

    def file(self, name: str, key: str, number: int) -> tuple[File, str | None]:
        """
        Return a file of an item, and the directory in which it must be.

        :raises NotFoundError: If there is no such file that the user may see.
        :raises NotReadableError: If the ledger can't be read.
        """
        shown = self._shown(name, key)
        if not 0 <= number < len(shown.item.files):
            raise NotFoundError
        file = shown.item.files[number]
        if not shown.item.reused:
            return file, shown.folder
        # A reused file that wasn't copied is where it was saved first. A ledger is less guarded than the index.
        is_of_index = shown.known.entry.kind is Kind.GENERATION
        return file, file.folder if is_of_index else self._overview.destination_of(file.uri)

    def _common(self, addresses: Addresses, query: Query, title: str) -> dict[str, Any]:
        return {
            "addresses": addresses,
            "query": query,
            "title": title,
            "dags": sorted({known.entry.dag_id for known in self._entries.values()})[:_MOST_OPTIONS],
            "gaps": self._pages.index.gaps,
            "now": datetime.now(UTC),
        }

    def _shown(self, name: str, key: str) -> Shown:
        known = self._overview.entries.get(name)
        if known is None or known.entry.dag_id not in self._dags:
            raise NotFoundError
        if known.entry.kind is Kind.BATCH:
            found = self._pages.ledgers.items(known.entry)
            item = found.by_key.get(key)
            if item is None and found.problem:
                raise NotReadableError(found.problem, is_temporary=found.is_temporary)
            if item is None:
                raise NotFoundError
            return Shown(known, item, known.entry.destination)
        shown = self._overview.generations.get(name)
        if shown is None or shown.item.key != key:
            raise NotFoundError
        return shown

    def _said(self, shown: Shown) -> Mapping[str, Any]:
        if shown.known.entry.kind is Kind.BATCH:
            said = self._pages.ledgers.said(shown.known.entry, shown.item)
        else:
            with storage_errors("The entry of the generation"):
                said = self._pages.index.said(shown.known)
        # A lone surrogate is JSON, but no text of a page.
        return mapping(plain(said))


def _is_wanted(work: BatchRow, query: Query) -> bool:
    asked = {"dag_id": query.dag_id, "task_id": query.task_id, "run_id": query.run_id, "word": query.state}
    if any(value and getattr(work, name) != value for name, value in asked.items()):
        return False
    wanted = query.q.casefold()
    return any(wanted in each.casefold() for each in (work.dag_id, work.task_id, work.run_id))


def _is_shown(work: BatchRow, query: Query) -> bool:
    """Whether a gallery shows all of a row of the page *Batches*."""
    if query.batch:
        return work.batch == query.batch
    if not (query.dag_id and query.task_id and query.run_id):
        return False
    named = (work.dag_id, work.task_id, work.run_id) == (query.dag_id, query.task_id, query.run_id)
    return named and (not query.map_index or str(work.map_index) == query.map_index)


def _parameters(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parameters of a request, or the values of a result, as text."""
    found = []
    for name, value in said.items():
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if value is not None and value != [] and value != {}:
            found.append((str(name), written[:4000]))
    return found


def _outputs(said: Mapping[str, Any], shown: Shown) -> list[dict[str, Any]]:
    """Return the temporary URLs of outputs that aren't saved."""
    if shown.item.files:
        return []
    found = []
    for output in map(mapping, items(said.get("outputs"))):
        url = text(output.get("url"))
        expires = moment(output.get("expires_at"))
        is_over = expires is not None and expires < datetime.now(UTC)
        opens = url is not None and url.startswith(("https://", "http://")) and not is_over
        found.append({"url": url, "opens": opens, "expires_at": expires, "is_over": is_over})
    return found


def _earlier(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of an earlier generation of an item."""
    names = ("generation_id", "status")
    return {name: text(said.get(name)) or "" for name in names} | {"cost": money(said.get("cost"))}


def _references(said: Mapping[str, Any]) -> list[str]:
    """Return the names of the files of a request, which are those of their content."""
    uploads = mapping(mapping(said.get("submission")).get("uploads"))
    return [str(name) for name in uploads]


def _places(figure: Figure) -> tuple[str, str, str, str]:
    return figure.day, figure.dag_id, figure.task_id, figure.model


def _cell(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _plain(value: Decimal | int) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
