"""Public files: uploads are stored on disk, results are rendered on first request. Both expire."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_apimart.sandbox.service.generations import Generation
from airflow_provider_apimart.sandbox.service.outputs import Kind, Recipe, parse_name, recipe
from airflow_provider_apimart.sandbox.service.replies import Reply
from airflow_provider_apimart.sandbox.service.service import Apimart

MAX_CHAIN = 8


class MissingExtraError(ImportError):
    """Pillow or PyAV is not installed."""


@dataclass(frozen=True)
class Upload:
    """
    An uploaded image.

    :param path: the stored file
    :param expires: expiry time of its URL
    """

    path: Path
    content_type: str
    expires: float


@dataclass(frozen=True)
class Source:
    """
    The origin of a public file: a stored upload, or a recipe.

    :param path: the stored file of an upload
    :param recipe: the recipe of a result
    :param references: the sources of its reference images
    """

    content_type: str
    path: Path | None = None
    recipe: Recipe | None = None
    references: tuple[Source, ...] = ()


class Cache:
    """
    Rendered files by recipe; a thread-safe least-recently-used cache.

    :param limit: maximum size in bytes
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._rendered: OrderedDict[Recipe, bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Recipe) -> bytes | None:
        """Return the cached file of a recipe, if any."""
        with self._lock:
            if key in self._rendered:
                self._rendered.move_to_end(key)
            return self._rendered.get(key)

    def put(self, key: Recipe, content: bytes) -> None:
        """Cache the file of a recipe."""
        with self._lock:
            self._size += len(content) - len(self._rendered.pop(key, b""))
            self._rendered[key] = content
            while self._size > self.limit:
                self._size -= len(self._rendered.popitem(last=False)[1])


class Files:
    """
    Public files of a sandbox, served without an API key.

    :param apimart: the service whose results are served
    """

    def __init__(self, apimart: Apimart) -> None:
        self._apimart = apimart
        self._temporary = tempfile.TemporaryDirectory(prefix="apimart-sandbox-")
        state = apimart.settings.state
        self._directory = Path(f"{state}.uploads" if state else self._temporary.name)
        self._directory.mkdir(exist_ok=True)
        self._uploads: dict[str, Upload] = {}
        self._cache = Cache(apimart.settings.cache_bytes)

    @property
    def uploaded(self) -> int:
        """The number of images uploaded, including expired ones."""
        return len(self._uploads)

    def close(self) -> None:
        """Delete all uploads, except those of a state file."""
        self._temporary.cleanup()

    def delete(self) -> None:
        """Delete all uploads."""
        for upload in self._uploads.values():
            upload.path.unlink(missing_ok=True)
        self._uploads.clear()

    def state(self) -> dict[str, Any]:
        """Return the uploads as JSON."""
        return {
            name: {"file": upload.path.name, "content_type": upload.content_type, "expires": upload.expires}
            for name, upload in self._uploads.items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the uploads from what :meth:`state` returned."""
        self._uploads = {
            name: Upload(self._directory / Path(each["file"]).name, each["content_type"], each["expires"])
            for name, each in state.items()
        }

    def save(self, filename: str, content_type: str, content: bytes) -> str:
        """Store an upload; return its public URL. Writes to disk: call it outside the event loop."""
        now = self._apimart.clock.now()
        plain = re.sub(r"[^\w.-]+", "_", Path(filename).name) or "image"
        name = f"{secrets.randbelow(10**13):013d}-{secrets.token_hex(4)}-{plain}"
        path = self._directory / secrets.token_hex(16)
        path.write_bytes(content)
        self._uploads[name] = Upload(path, content_type, now + self._apimart.settings.upload_lifetime)
        return self._apimart.public_url("image", quote(name))

    def find(self, name: str) -> Source | Reply:
        """Return the source of a public file, or the reply for a missing or expired one."""
        upload = self._uploads.get(name)
        expires = upload.expires if upload else self._result_expires(name)
        source = self._source(name)
        if expires is None or source is None:
            return _missing(404)
        if self._apimart.clock.now() >= expires:
            return _missing(self._apimart.settings.expired_file_status)
        return source

    def is_missing(self, url: str) -> bool:
        """Return whether a URL of this sandbox is missing or expired; foreign URLs count as present."""
        inside = url.startswith(f"{self._apimart.files_url}/f/")
        return inside and isinstance(self.find(_name(url)), Reply)

    def _result_expires(self, name: str) -> float | None:
        found = self._output(name)
        if found is None or found[0].stage(self._apimart.clock.now()) != "completed":
            return None
        return int(found[0].completed + self._apimart.settings.result_lifetime)

    def _output(self, name: str) -> tuple[Generation, Kind, int] | None:
        parsed = parse_name(name)
        generation = self._apimart.billing.find(parsed[0]) if parsed else None
        return (generation, parsed[1], parsed[2]) if parsed and generation else None

    def _source(self, name: str, depth: int = 0) -> Source | None:
        """Resolve a file to its source, including its references, up to ``MAX_CHAIN`` levels."""
        if upload := self._uploads.get(name):
            return Source(upload.content_type, path=upload.path)
        output = self._output(name) if depth < MAX_CHAIN else None
        if output is None:
            return None
        output_recipe = recipe(*output)
        sources = [self._source(_name(url), depth + 1) for url in output_recipe.references]
        return Source(output_recipe.content_type, recipe=output_recipe, references=tuple(filter(None, sources)))

    def read(self, source: Source) -> bytes:
        """Return a file's bytes. Rendering takes time: call it outside the event loop."""
        if source.path is not None:
            return source.path.read_bytes()
        output_recipe = cast(Recipe, source.recipe)
        rendered = self._cache.get(output_recipe)
        if rendered is None:
            rendered = render(output_recipe, [self.read(reference) for reference in source.references])
            self._cache.put(output_recipe, rendered)
        return rendered


def _name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _missing(status: int) -> Reply:
    return Reply(status, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")


def render(output_recipe: Recipe, references: Sequence[bytes]) -> bytes:
    """Render a file; imports Pillow and PyAV on demand."""
    try:
        from airflow_provider_apimart.sandbox.media import audio, image, video
    except ImportError as error:
        raise MissingExtraError(
            f"Rendering outputs needs {error.name}: pip install 'airflow-provider-apimart[sandbox]'"
        ) from error
    if output_recipe.is_audio:
        return audio.render_audio(output_recipe)
    stills = [video.first_frame(content) for content in references]
    if output_recipe.kind == "video":
        return video.render_video(output_recipe, stills)
    return image.render_image(output_recipe, stills)
