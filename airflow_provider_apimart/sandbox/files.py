"""Public files: uploads kept on disk, results drawn when somebody first asks for them. Both expire."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import cast
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_apimart.sandbox.generations import Generation
from airflow_provider_apimart.sandbox.outputs import Kind, Recipe, parse_name, recipe
from airflow_provider_apimart.sandbox.replies import Reply
from airflow_provider_apimart.sandbox.service import Apimart

MAX_CHAIN = 8


class MissingExtraError(ImportError):
    """Pillow or PyAV is not installed."""


@dataclass(frozen=True)
class Upload:
    """
    An uploaded image.

    :param path: where its bytes lie
    :param expires: when its URL stops working
    """

    path: Path
    content_type: str
    expires: float


@dataclass(frozen=True)
class Source:
    """
    Where a file's bytes come from.

    :param path: the file they lie in, of an upload
    :param recipe: what they are drawn by, of a result
    :param references: the sources of the images that result builds on
    """

    content_type: str
    path: Path | None = None
    recipe: Recipe | None = None
    references: tuple[Source, ...] = ()


class Cache:
    """
    Drawn files by recipe, the least recently used forgotten first; safe to use from several threads.

    :param limit: how many bytes to keep
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._drawn: OrderedDict[Recipe, bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Recipe) -> bytes | None:
        """Return what was drawn by a recipe, if it is still here."""
        with self._lock:
            if key in self._drawn:
                self._drawn.move_to_end(key)
            return self._drawn.get(key)

    def put(self, key: Recipe, content: bytes) -> None:
        """Keep what was drawn by a recipe."""
        with self._lock:
            self._size += len(content) - len(self._drawn.pop(key, b""))
            self._drawn[key] = content
            while self._size > self.limit:
                self._size -= len(self._drawn.popitem(last=False)[1])


class Files:
    """
    What the sandbox serves to everybody, key or no key.

    :param apimart: the service whose jobs' results are served
    """

    def __init__(self, apimart: Apimart) -> None:
        self._apimart = apimart
        self._directory = tempfile.TemporaryDirectory(prefix="apimart-sandbox-")
        self._uploads: dict[str, Upload] = {}
        self._cache = Cache(apimart.settings.cache_bytes)

    @property
    def uploaded(self) -> int:
        """How many images were uploaded, expired ones included."""
        return len(self._uploads)

    def close(self) -> None:
        """Delete all uploads."""
        self._directory.cleanup()

    def save(self, filename: str, content_type: str, content: bytes) -> str:
        """Keep an upload; return its public URL. Writes to disk, so call it off the event loop."""
        now = self._apimart.clock.now()
        plain = re.sub(r"[^\w.-]+", "_", Path(filename).name) or "image"
        name = f"{secrets.randbelow(10**13):013d}-{secrets.token_hex(4)}-{plain}"
        path = Path(self._directory.name, secrets.token_hex(16))
        path.write_bytes(content)
        self._uploads[name] = Upload(path, content_type, now + self._apimart.settings.upload_lifetime)
        return self._apimart.public_url("image", quote(name))

    def find(self, name: str) -> Source | Reply:
        """Look a public file up; return where its bytes come from, or the refusal to give them."""
        upload = self._uploads.get(name)
        expires = upload.expires if upload else self._result_expires(name)
        source = self._source(name)
        if expires is None or source is None:
            return _missing(404)
        if self._apimart.clock.now() >= expires:
            return _missing(self._apimart.settings.expired_file_status)
        return source

    def is_missing(self, url: str) -> bool:
        """Tell whether a URL points to this sandbox, but to nothing that is there to be fetched."""
        inside = url.startswith(f"{self._apimart.files_url}/f/")
        return inside and isinstance(self.find(_name(url)), Reply)

    def _result_expires(self, name: str) -> float | None:
        found = self._output(name)
        if found is None or found[0].stage(self._apimart.clock.now()) != "completed":
            return None
        return int(found[0].completed + self._apimart.settings.result_lifetime)

    def _output(self, name: str) -> tuple[Generation, Kind, int] | None:
        parsed = parse_name(name)
        generation = self._apimart.ledger.find(parsed[0]) if parsed else None
        return (generation, parsed[1], parsed[2]) if parsed and generation else None

    def _source(self, name: str, depth: int = 0) -> Source | None:
        """Trace a file to the uploads it is made from, through as many results as one may build on another."""
        if upload := self._uploads.get(name):
            return Source(upload.content_type, path=upload.path)
        output = self._output(name) if depth < MAX_CHAIN else None
        if output is None:
            return None
        drawing = recipe(*output)
        sources = [self._source(_name(url), depth + 1) for url in drawing.references]
        return Source(drawing.content_type, recipe=drawing, references=tuple(filter(None, sources)))

    def read(self, source: Source) -> bytes:
        """Return a file's bytes. May draw for a while, so call it off the event loop."""
        if source.path is not None:
            return source.path.read_bytes()
        drawing = cast(Recipe, source.recipe)
        drawn = self._cache.get(drawing)
        if drawn is None:
            drawn = draw(drawing, [self.read(reference) for reference in source.references])
            self._cache.put(drawing, drawn)
        return drawn


def _name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _missing(status: int) -> Reply:
    return Reply(status, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")


def draw(drawing: Recipe, references: Sequence[bytes]) -> bytes:
    """Draw by a recipe; Pillow and PyAV are imported only now."""
    if drawing.kind == "audio":
        from airflow_provider_apimart.sandbox.sound import play

        return play(drawing)
    try:
        from airflow_provider_apimart.sandbox import drawing as pictures
        from airflow_provider_apimart.sandbox import video
    except ImportError as error:
        raise MissingExtraError(
            f"Drawing needs {error.name}: pip install 'airflow-provider-apimart[sandbox]'"
        ) from error
    stills = [video.still(content) for content in references]
    return video.film(drawing, stills) if drawing.kind == "video" else pictures.paint(drawing, stills)
