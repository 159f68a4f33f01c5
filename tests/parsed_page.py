"""HTML as a browser would take it."""

from __future__ import annotations

from html.parser import HTMLParser


class ParsedPage(HTMLParser):
    """
    The elements and the text of a page.

    :param page: Its HTML.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Take text."""
        self.text += data

    def all(self, tag: str, attribute: str) -> list[str | None]:
        """Return an attribute of all elements of a tag, ``None`` for those without it."""
        return [attributes.get(attribute) for name, attributes in self.elements if name == tag]

    def values(self, tag: str, attribute: str) -> list[str]:
        """Return an attribute of all elements of a tag that have it."""
        return list(filter(None, self.all(tag, attribute)))
