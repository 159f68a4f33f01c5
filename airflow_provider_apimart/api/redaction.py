"""
Redaction of secrets in what is shown: errors, logs, events.

Replies are read unredacted, so that a short secret never changes an id or a status word. Text from APIMart, or
from a proxy that answered instead, is redacted when it is shown to people. A secret is found in every spelling that
servers and libraries use for it: plain, and with JSON, percent and HTML escapes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

MASK = "***"

# A shorter secret may be part of any word, so it is redacted only where it is a word of its own.
_LONG = 8
# A secret as long as this is part of no id by chance.
_UNMISTAKABLE = 16
_NOT_WITHIN_A_WORD = (r"(?<![A-Za-z0-9_-])(?<![A-Za-z0-9]\.)", r"(?![A-Za-z0-9_-]|\.[A-Za-z0-9])")
_URL_WITH_QUERY = re.compile(r"(https?:\\?/\\?/[^\s\"'<>?]+)\?[^\s\"'<>]+", re.IGNORECASE)
_FACTS = re.compile(
    r"(.*_)?(id|ids|status|state|model|object|code|type|urls?|created|completed|expires_at|size|resolution)"
)


@dataclass(frozen=True)
class Secrets:
    """
    Secrets of a connection, to be redacted in what is shown.

    :param values: The decoded secrets. Empty ones are ignored.
    """

    values: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, values: Iterable[str]) -> Secrets:
        """Return the secrets among some texts, without surrounding space."""
        return cls(frozenset(filter(None, (value.strip() for value in values))))

    def redact(self, shown: str) -> str:
        """Return text for people without the secrets."""
        return _pattern(self.values).sub(MASK, shown) if self.values else shown

    def redact_json(self, value: Any) -> Any:
        """
        Return a parsed reply with the secrets redacted in its messages, but not in its ids, status words and URLs.

        There, only a secret is redacted that is too long to be part of them by chance.
        """
        return _redacted(value, self, is_fact=False) if self.values else value

    def redact_fact(self, shown: str) -> str:
        """Return an id, status word or URL without the secrets that can't be part of it by chance."""
        for secret in self.values:
            if len(secret) >= _UNMISTAKABLE:
                shown = shown.replace(secret, MASK)
        return shown


def _redacted(value: Any, secrets: Secrets, *, is_fact: bool) -> Any:
    match value:
        case str():
            return secrets.redact_fact(value) if is_fact else secrets.redact(value)
        case list():
            return [_redacted(item, secrets, is_fact=is_fact) for item in value]
        case Mapping():
            return {
                secrets.redact_fact(name): _redacted(item, secrets, is_fact=_FACTS.fullmatch(name) is not None)
                for name, item in value.items()
            }
    return value


@lru_cache(maxsize=128)
def _pattern(values: frozenset[str]) -> re.Pattern[str]:
    """Return a pattern of the secrets in all spellings, the longest first: one may be part of another."""
    return re.compile("|".join(map(_spellings, sorted(values, key=len, reverse=True))), re.IGNORECASE)


def _spellings(secret: str) -> str:
    before, after = ("", "") if len(secret) >= _LONG else _NOT_WITHIN_A_WORD
    return before + "".join(map(_letter, secret)) + after


def _letter(letter: str) -> str:
    code = ord(letter)
    escaped = {
        rf"\\+u{code:04x}",
        "".join(f"%(?:25)*{byte:02x}" for byte in letter.encode("utf-8", "replace")),
        f"&#0*{code};",
        f"&#x0*{code:x};",
    }
    if not letter.isalnum():
        escaped |= {re.escape(html.escape(letter)), rf"\\+{re.escape(letter)}"}
    # The letter itself is tried last: a backslash is also the beginning of its own escape.
    return f"(?:{'|'.join(sorted(escaped - {re.escape(letter)}))}|{re.escape(letter)})"


def without_queries(shown: str) -> str:
    """Return text for people in which all URLs are without their queries, as :func:`without_query` shows them."""
    return _URL_WITH_QUERY.sub(rf"\1?{MASK}", shown)


def without_query(url: str) -> str:
    """
    Return a URL as it may be shown: without query, fragment and credentials, which may grant access.

    :param url: A URL, or any other text, which is returned as it is.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    if not parts.scheme or not parts.netloc:
        return url
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return f"{shown}?{MASK}" if parts.query else shown
