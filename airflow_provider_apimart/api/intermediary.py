"""Replies of proxies and gateways: who sent them, and where they redirect to."""

from __future__ import annotations

import html
import re
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.api.json_values import mapping, text
from airflow_provider_apimart.api.redaction import without_queries, without_query

_READ = 16_384
_SHOWN = 120
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_NO_TEXT = re.compile(r"<(script|style)\b.*?(</\1\s*>|\Z)|<[^>]*>", re.IGNORECASE | re.DOTALL)
# Headers by which servers, proxies and caches name themselves.
_NAMES = ("server", "via", "proxy-authenticate", "x-powered-by")


def answer_of(reply: Reply) -> str:
    """
    Return who answered and what, in one line for people.

    :param reply: A reply that is no error of APIMart's.
    """
    status = f"HTTP {reply.status}"
    who = next(filter(None, (text(reply.header(name)) for name in _NAMES)), None)
    by = f" from {_line(reply, who)}" if who else ""
    host = urlsplit(reply.url).netloc
    at = f" when calling {host}" if host else ""
    return f"{status}{by}{at}: {_redirect(reply) or _words(reply)}"


def moved_base_url(reply: Reply) -> str | None:
    """Return the base URL that a redirect moves the whole API to: its target has the path of the request."""
    target = without_query(_target(reply) or "").partition("?")[0].rstrip("/")
    path = reply.path.partition("?")[0]
    base = target.removesuffix(path)
    if not path or base in (target, reply.url.partition(path)[0]):
        return None
    return reply.shown(base)


def _target(reply: Reply) -> str | None:
    location = reply.header("location")
    if not location or not HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        return None
    with suppress(ValueError):
        return urljoin(reply.url, location)
    return location


def _redirect(reply: Reply) -> str | None:
    target = _target(reply)
    return f"a redirect to {_line(reply, without_query(target))}" if target else None


def _words(reply: Reply) -> str:
    """Return the title of a page, the message of an intermediary's JSON, or the beginning of the text."""
    if message := text(mapping(reply.json).get("message")):
        return repr(_line(reply, message))
    shown = reply.body[:_READ].decode("utf-8", "replace")
    title = _TITLE.search(shown)
    line = _line(reply, html.unescape(title[1] if title else _NO_TEXT.sub(" ", shown)))
    return repr(line) if line else "an empty reply"


def _line(reply: Reply, shown: str) -> str:
    """Return text on one line, without secrets, and not long. It is redacted first: a cut secret isn't found."""
    line = without_queries(" ".join(reply.shown(shown).split()))
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
