"""The index of the documentation for language models, compared with the pages."""

from __future__ import annotations

import pytest

from tests.lab.fork_server import PROJECT

DOCS = PROJECT / "docs"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(DOCS)
    import llms_txt

    text: str = llms_txt.text(DOCS)
    return text


def test_it_names_every_page_and_no_other(index: str) -> None:
    import llms_txt

    sources = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.rst")}
    named = llms_txt.pages(index)
    assert sorted(named) == sorted(sources - {"index", "changelog"})


def test_every_page_has_a_title_and_a_sentence_without_markup(index: str) -> None:
    lines = [line for line in index.splitlines() if line.startswith("- ")]
    assert len(lines) > 10
    assert not [line for line in lines if ":`" in line or "``" in line or "`__" in line or len(line) < 40]
