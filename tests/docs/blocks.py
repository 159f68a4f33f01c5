"""
The blocks of code in the pages and in the README, with their marks.

A comment right before a block marks it: ``.. not-run: reason`` for a block that no test can run, ``.. run-until: text``
for a command that is interrupted once it has printed the text, ``.. example: file`` for a part of an example, which is
run with the others. In Markdown the mark is ``<!-- not-run: reason -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from textwrap import dedent

from tests.lab.fork_server import PROJECT

_MARK = re.compile(r"\.\. (not-run|run-until|example): +(.*)$")
_DIRECTIVE = re.compile(r" *\.\. (?:code-block|code|sourcecode):: *(\w*)$")
_FENCED = re.compile(
    r"^(?:<!-- (?P<mark>not-run|run-until|example): (?P<said>.*?) -->\n+)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """
    A block of code.

    :param place: File and line.
    :param mark: ``not-run`` or ``run-until``, if it is marked.
    :param said: The reason, the text to wait for, or the file.
    """

    place: str
    language: str
    code: str
    mark: str | None = None
    said: str = ""

    @property
    def commands(self) -> str:
        """The commands of a console, without what they print."""
        return "\n".join(line[2:] for line in self.code.splitlines() if line.startswith("$ "))


def all_blocks() -> list[Block]:
    """Return the blocks of all pages and of the README."""
    pages = sorted((PROJECT / "docs").rglob("*.rst"))
    return [*_in_markdown(PROJECT / "README.md"), *(block for page in pages for block in _in_rest(page))]


def _in_markdown(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCED.finditer(text):
        line = text.count("\n", 0, found.start("code"))
        yield Block(f"{page.name}:{line}", found["language"], found["code"], found["mark"], found["said"] or "")


def _in_rest(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    mark: tuple[str | None, str] = (None, "")
    for number, line in enumerate(lines, start=1):
        if marked := _MARK.match(line):
            mark = (marked[1], marked[2])
        elif directive := _DIRECTIVE.match(line):
            yield Block(f"{page.relative_to(PROJECT)}:{number}", directive[1], _indented(line, lines[number:]), *mark)
            mark = (None, "")
        elif line.strip() and not line.startswith("   "):
            # A mark belongs to what follows it at once; its own further lines are indented.
            mark = (None, "")


def _indented(directive: str, rest: list[str]) -> str:
    margin = len(directive) - len(directive.lstrip())
    inside = takewhile(lambda line: not line.strip() or len(line) - len(line.lstrip()) > margin, rest)
    return dedent("\n".join(line for line in inside if not line.strip().startswith(":"))).strip("\n")
