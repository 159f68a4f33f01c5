"""Gallery of a batch: a page with its results, prompts, costs and failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import PurePosixPath
from urllib.parse import quote

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.batch.ledger import ItemStatus, LedgerEntry
from airflow_provider_apimart.batch.summary import BatchCounts, describe

# URLs that a browser would run rather than show.
_EXECUTABLE = frozenset({"javascript", "vbscript", "data"})

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 2rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; }
img, video { width: 100%; border-radius: .4rem; background: #8883; }
figcaption { margin-top: .4rem; overflow-wrap: anywhere; }
small { opacity: .7; }
.missing { border: 1px dashed #c33; border-radius: .4rem; padding: .8rem; }
"""


def gallery(title: str, counts: BatchCounts, entries: Iterable[LedgerEntry], folder: str) -> str:
    """
    Return the page as HTML without scripts or other files, apart from the images and videos themselves.

    :param title: The name of the batch.
    :param folder: URI of the directory in which the page will lie: files below it are linked relatively, so that the
        folder can be moved or served.
    """
    figures = "\n".join(_figure(entry, folder) for entry in entries)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n<p>{escape(describe(counts))}</p>\n"
        f"<main>\n{figures}\n</main>\n</html>\n"
    )


def _figure(entry: LedgerEntry, folder: str) -> str:
    shown = "".join(_media(entry, folder))
    is_done = entry.status in (ItemStatus.COMPLETED, ItemStatus.REUSED)
    why = "" if is_done and not entry.reason else _why(entry)
    prompt = escape(entry.prompt or "")
    return f'<figure id="{escape(entry.id)}">{shown}{why}<figcaption>{prompt}<br>{_facts(entry)}</figcaption></figure>'


def _why(entry: LedgerEntry) -> str:
    status = entry.status.value.replace("_", " ")
    return f'<p class="missing"><b>{status}</b> {escape(entry.reason or "")}</p>'


def _facts(entry: LedgerEntry) -> str:
    cost = None if entry.cost is None else written_dollars(entry.cost)
    reused = "reused" if entry.status is ItemStatus.REUSED else None
    facts = (entry.id, entry.model, reused, cost, entry.generation_id)
    return f"<small>{escape(' · '.join(each for each in facts if each))}</small>"


def _media(entry: LedgerEntry, folder: str) -> Iterator[str]:
    if entry.files:
        for file in entry.files:
            yield _element(str(file.get("media_type", "")), _relative(str(file["uri"]), folder))
    else:
        for output in filter(lambda each: each.get("url"), entry.outputs):
            yield _element(str(output.get("kind", "")), str(output["url"]))


def _relative(uri: str, folder: str) -> str:
    inside = uri.removeprefix("file://").removeprefix(folder.removeprefix("file://").rstrip("/") + "/")
    return uri if PurePosixPath(inside).is_absolute() or "://" in inside else quote(inside)


def _element(kind: str, source: str) -> str:
    if source.partition(":")[0].lower().strip() in _EXECUTABLE:
        return ""
    source = escape(source)
    if kind.startswith("video"):
        return f'<video src="{source}" controls preload="none"></video>'
    if kind.startswith("audio"):
        return f'<audio src="{source}" controls preload="none"></audio>'
    return f'<a href="{source}"><img src="{source}" loading="lazy" alt=""></a>'
