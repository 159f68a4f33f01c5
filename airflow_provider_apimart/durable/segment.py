"""Content of one file of facts, called a segment. No I/O."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_apimart.durable import text_lines
from airflow_provider_apimart.durable.checksummed_json import (
    checked_json,
    has_its_checksum,
    read_together,
    with_checksum,
)
from airflow_provider_apimart.durable.facts import Fact, fact_from_json
from airflow_provider_apimart.durable.record import VERSION

SUFFIX = ".facts"
_READ_TOGETHER = 1_000


@dataclass(frozen=True)
class Segment:
    """
    One file of facts.

    :param body: The lines of its facts as they are written.
    :param subsumes: For each writer the number up to which this file replaces its files.
    """

    writer: str
    number: int
    body: bytes
    subsumes: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name."""
        return segment_name(self.writer, self.number)

    def lines(self) -> Iterator[str]:
        """Go through the lines of its facts."""
        return text_lines.from_bytes(self.body)

    def facts(self) -> Iterator[Fact]:
        """
        Go through its facts.

        :raises ValueError: If one of them is none, with the number of its line.
        """
        for number, value in enumerate(self._values(), 1):
            try:
                yield fact_from_json(value)
            except ValueError as error:
                raise ValueError(f"line {number} of {self.name}: {error}") from error

    def _values(self) -> Iterator[object]:
        lines = self.lines()
        while together := list(islice(lines, _READ_TOGETHER)):
            yield from read_together(together)

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        head = {
            "apimart_facts": VERSION,
            "writer": self.writer,
            "number": self.number,
            "lines": self.body.count(b"\n"),
            "subsumes": dict(self.subsumes),
        }
        return b"".join((with_checksum(head).encode(), b"\n", self.body))


class UnfinishedError(ValueError):
    """A file that ends too early: its writer hasn't finished it, or it was cut."""


def segment_name(writer: str, number: int) -> str:
    """Return the name of a writer's file."""
    return f"{writer}-{number:06}{SUFFIX}"


def segment_from_bytes(name: str, content: bytes) -> Segment:
    """
    Return the file that :meth:`Segment.to_bytes` wrote.

    :raises UnfinishedError: If it ends too early.
    :raises ValueError: If it is damaged, or of a newer version of the provider.
    """
    head_line, end, body = content.removeprefix(BOM_UTF8).partition(b"\n")
    if not end:
        raise UnfinishedError(f"{name} is not whole: its head is cut")
    head = _checked_head(name, head_line)
    is_whole = not body or body.endswith(b"\n")
    body = body if is_whole else body[: body.rfind(b"\n") + 1]
    _check_lines(name, body)
    lines = body.count(b"\n")
    if not is_whole or lines != head["lines"]:
        kind = UnfinishedError if lines < head["lines"] else ValueError
        raise kind(f"{name} is not whole: it has {lines} of {head['lines']} lines")
    segment = Segment(head["writer"], head["number"], body, head["subsumes"])
    if segment.name != name:
        raise ValueError(f"{name} was written as {segment.name}")
    return segment


def _check_lines(name: str, body: bytes) -> None:
    try:
        for number, line in enumerate(text_lines.encoded(body), 1):
            line.decode()
            if not has_its_checksum(line):
                raise ValueError(f"line {number} of {name}: its checksum is wrong")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is damaged: {error}") from error


def _checked_head(name: str, line: bytes) -> dict[str, Any]:
    try:
        head = checked_json(line.decode())
    except ValueError as error:
        raise ValueError(f"the head of {name} is damaged: {error}") from error
    if not isinstance(head, dict) or "apimart_facts" not in head:
        raise ValueError(f"{name} is no file of facts")
    if head["apimart_facts"] != VERSION:
        raise ValueError(
            f"{name} has version {head['apimart_facts']!r}, and this version of the provider reads {VERSION}"
        )
    return head
