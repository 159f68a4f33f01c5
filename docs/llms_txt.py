"""The index ``llms.txt`` of the documentation, for language models: a title, a sentence and a link for each page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_TOCTREE = re.compile(r"^\.\. toctree::\n +:caption: (.+)\n(?: +:.*\n)*\n((?: +\S+\n?)+)", re.MULTILINE)
# The change log is Markdown, included in a page without words of its own.
_WITHOUT_TEXT = ("changelog",)
_ROLE_WITH_TARGET = re.compile(r":[\w:]+:`([^`<]+?) ?<[^`]*>`")
_ROLE = re.compile(r":[\w:]+:`~?/?([^`]+)`")
_LINK = re.compile(r"`([^`<]+?) ?<[^`]*>`__?")


def text(docs: Path) -> str:
    """
    Return the index.

    Its links lead to the sources of the pages, which Sphinx publishes beside them as plain text.

    :param docs: The folder of the pages' sources, whose ``index.rst`` names all of them.
    """
    index = (docs / "index.rst").read_text()
    sections = (f"## {caption}\n\n{_links(docs, names.split())}" for caption, names in _TOCTREE.findall(index))
    return f"# {_title(index)}\n\n> {_first_sentence(index)}\n\n" + "\n".join(sections)


def pages(index: str) -> list[str]:
    """Return the names of the pages in the text of an index, as Sphinx names them."""
    return re.findall(r"\(_sources/(.+)\.rst\.txt\)", index)


def _links(docs: Path, names: list[str]) -> str:
    return "".join(_entries(docs, [name for name in names if name not in _WITHOUT_TEXT]))


def _entries(docs: Path, names: list[str]) -> Iterator[str]:
    for name in names:
        source = (docs / f"{name}.rst").read_text()
        yield f"- [{_title(source)}](_sources/{name}.rst.txt): {_first_sentence(source)}\n"


def _title(source: str) -> str:
    found = re.search(r"^(.+)\n={3,}$", source, re.MULTILINE)
    if found is None:
        raise ValueError(f"A page has no title: {source[:60]!r}")
    return found[1]


def _first_sentence(source: str) -> str:
    body = source.partition("\n===")[2].partition("\n\n")[2]
    blocks = re.split(r"\n\s*\n", body)
    paragraphs = (block for block in blocks if re.match(r"[*`:]*\w", block) and "\n---" not in block)
    words = " ".join(next(paragraphs).split())
    return _plain(re.split(r"(?<=[.?!:]) ", words)[0].removesuffix(":"))


def _plain(markup: str) -> str:
    for pattern in (_ROLE_WITH_TARGET, _ROLE, _LINK):
        markup = pattern.sub(_words, markup)
    return markup.replace("``", "`").replace("**", "")


def _words(reference: re.Match[str]) -> str:
    """Return what a page shows of a reference: the last part of a class's path, and other words as they are."""
    words = reference[1]
    return words.rpartition(".")[2] if words.startswith("airflow_provider_apimart.") else words
