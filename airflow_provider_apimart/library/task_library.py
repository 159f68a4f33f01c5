"""
Use of the library by one task: it looks for kept results, copies them, and enters its own.

A library that can't be used makes the task pay for what it could have reused; the log says so once. With ``max_cost``,
the limit was planned with what the library holds, so the task fails before anything is paid.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.api.payload import requested_outputs
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.exceptions import ApimartLibraryError
from airflow_provider_apimart.library.entry import EntryFile, LibraryEntry, Maker
from airflow_provider_apimart.library.library import Library
from airflow_provider_apimart.library.matching import assign, unused
from airflow_provider_apimart.library.reference_content import ReferenceContents
from airflow_provider_apimart.library.request_identity import reference_urls, request_identity
from airflow_provider_apimart.results.storage.kept_file import KeptFile, check_unchanged, kept_file, present_files
from airflow_provider_apimart.results.storage.receipts import KeptFileLostError, SavedFile

if TYPE_CHECKING:
    from airflow_provider_apimart.api.generation import Generation

log = logging.getLogger(__name__)

CopyFiles = Callable[["Generation", Sequence[KeptFile]], Sequence[SavedFile]]


class TaskLibrary:
    """
    The library as one task uses it. Several threads may use it at once.

    :param place: Directory or URI of the library.
    :param reuse_within: Seconds for which a completed and saved result serves identical requests, ``None`` to reuse
        nothing.
    :param copy_reused: Whether reused files are copied. If not, they are only referenced.
    :param is_required: Whether :meth:`find` raises if the library can't be read.
    """

    def __init__(
        self, place: str, reuse_within: float | None = None, *, copy_reused: bool = True, is_required: bool = False
    ) -> None:
        self._place = place
        self._reuse_within = reuse_within
        self._copy_reused = copy_reused
        self._is_required = is_required
        #: The first problem with the library, for people; empty if there was none.
        self.troubles: list[str] = []
        self._contents: dict[str, str] = {}
        self._unusable: Exception | None = None
        self._entered: dict[str, bytes] = {}
        self._library = self._begin()

    @property
    def reuses(self) -> bool:
        """Whether results are to be reused."""
        return self._reuse_within is not None

    def identities(self, requests: Sequence[PaidRequest]) -> list[str]:
        """
        Return the identities of requests.

        :raises ApimartLibraryError: If the library is required and can't be read.
        """
        urls = {url for request in requests for url in reference_urls(request.payload)} - self._contents.keys()
        if urls and self._library:
            try:
                self._contents |= ReferenceContents(self._library).known(sorted(urls))
            except Exception as error:
                # Any error: storage libraries raise errors of any class.
                self._unreadable(error)
        return [request_identity(request.modality, request.payload, self._contents) for request in requests]

    def find(
        self, identities: Collection[str], now: datetime | None = None, pack: str | None = None
    ) -> dict[str, list[LibraryEntry]]:
        """
        Return the entries that may be reused, by their identities: completed lately enough, with all files in place.

        :param pack: See :meth:`~airflow_provider_apimart.library.library.Library.find`.
        :raises ApimartLibraryError: If the library is required and can't be read.
        """
        if self._unusable:
            self._unreadable(self._unusable)
        if not self._library or self._reuse_within is None:
            return {}
        since = (now or datetime.now(UTC)) - timedelta(seconds=self._reuse_within)
        try:
            found = self._library.find(identities, since, pack)
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            self._unreadable(error)
            return {}
        return _with_their_files(found)

    def reuse(self, entry: LibraryEntry, copy: CopyFiles) -> Sequence[SavedFile] | None:
        """
        Return the files of an entry for this task, ``None`` if they aren't whole any more.

        :param copy: Copies them into the destination. It isn't called where they are only referenced.
        :raises ApimartDestinationError: If the destination can't be written.
        """
        files = [file.kept for file in entry.files]
        try:
            # Before anything is copied, so that a miss leaves no copies behind. The first file is checked by its copy.
            for file in files[self._copy_reused :]:
                check_unchanged(file)
            if self._copy_reused:
                return copy(entry.generation(), files)
        except KeptFileLostError as error:
            log.info("Generation %s isn't reused: %s", entry.generation_id, error)
            return None
        return [file.file for file in files]

    def reuse_one(self, request: PaidRequest, copy: CopyFiles) -> tuple[LibraryEntry, Sequence[SavedFile]] | None:
        """
        Return the entry that serves a single request, and its files for this task; ``None`` if there is none.

        :raises ApimartLibraryError: If the library is required and can't be read.
        :raises ApimartDestinationError: If the destination can't be written.
        """
        taken: list[tuple[LibraryEntry, Sequence[SavedFile]]] = []

        def take(_: PaidRequest, entry: LibraryEntry) -> bool:
            files = self.reuse(entry, copy)
            if files is not None:
                taken.append((entry, files))
            return files is not None

        (identity,) = self.identities([request])
        assign([request], unused(self.find([identity]).get(identity, ()), ()), take)
        return taken[0] if taken else None

    def enter(self, request: PaidRequest, generation: Generation, files: Sequence[SavedFile], made_by: Maker) -> None:
        """
        Enter a generation whose outputs were all saved. Trouble is logged: the generation is paid for.

        Generations that lack requested outputs aren't entered, so that an identical request asks for all of them.

        :param files: One for each output.
        """
        if self._unusable:
            self._warn("Results can't be entered into the library", self._unusable)
        requested = requested_outputs(request.modality, request.payload)
        if not self._library or not files or generation.known_as(requested=requested).missing_outputs:
            return
        try:
            kept = [kept_file(file) for file in files]
            (identity,) = self.identities([request])
            entry = _entry(identity, request, generation, kept, made_by)
            self._library.enter(entry)
            if self.reuses and self._library.keeps_packs:
                self._entered[entry.name] = entry.to_bytes()
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            self._warn("Results can't be entered into the library", error)

    def pack_entered(self, pack: str) -> None:
        """
        Add what this task has entered to its pack, so that its next run doesn't read each entry by itself.

        :param pack: See :meth:`~airflow_provider_apimart.library.library.Library.find`.
        """
        if not self._library or self._reuse_within is None:
            return
        try:
            self._library.add_to_pack(pack, self._entered, datetime.now(UTC) - timedelta(seconds=self._reuse_within))
        except Exception as error:
            # Any error: storage libraries raise errors of any class, and the entries have files of their own.
            log.info("The library's %s can't be written: %s", pack, error)

    def note_upload(self, url: str, sha256: str) -> None:
        """Keep the content of an upload, so that another upload of the same file is the same reference."""
        self._contents[url.strip()] = sha256
        if not self._library:
            return
        try:
            ReferenceContents(self._library).note(url, sha256)
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            self._warn("Uploads can't be noted in the library", error)

    def _begin(self) -> Library | None:
        try:
            library = Library(self._place)
            library.prepare()
            return library
        except Exception as error:
            # Any error: storage libraries raise errors of any class. What was paid for is still waited for and saved.
            self._unusable = error
            return None

    def _unreadable(self, error: Exception) -> None:
        if self._is_required and self.reuses:
            raise ApimartLibraryError(
                f"The library {self._place} can't be read ({root_reason(error)}), and max_cost was planned with what "
                "it holds. Nothing was submitted",
                advice="Fix the library and retry. To pay for everything again, remove reuse_within",
            ) from error
        what = "can't be read; everything is generated again" if self.reuses else "can't be used"
        self._warn(f"The library {what}", error)

    def _warn(self, what: str, error: Exception) -> None:
        """Log a problem with the library, once a task."""
        if not self.troubles:
            self.troubles.append(f"{what} ({self._place}): {root_reason(error)}")
            log.warning("%s", self.troubles[0])


def _with_their_files(found: dict[str, list[LibraryEntry]]) -> dict[str, list[LibraryEntry]]:
    """Return the entries whose files are all in place, with the tags that are still those of their files."""
    present = present_files(file.kept for entries in found.values() for entry in entries for file in entry.files)

    def current(entry: LibraryEntry) -> LibraryEntry | None:
        files = tuple(EntryFile(present[each.kept], each.kind) for each in entry.files if each.kept in present)
        return replace(entry, files=files) if len(files) == len(entry.files) else None

    return {identity: list(filter(None, map(current, entries))) for identity, entries in found.items()}


def _entry(
    identity: str, request: PaidRequest, generation: Generation, files: Iterable[KeptFile], made_by: Maker
) -> LibraryEntry:
    kept = tuple(EntryFile(file, output.kind) for file, output in zip(files, generation.outputs, strict=True))
    return LibraryEntry(
        identity=identity,
        generation_id=generation.generation_id or result_id((file.kept.file.sha256 for file in kept), made_by),
        modality=request.modality,
        request=request.payload,
        files=kept,
        cost=generation.cost,
        completed=(generation.completed or datetime.now(UTC)).replace(microsecond=0),
        made_by=made_by,
        result=generation.result,
    )


def result_id(sha256: Iterable[str], made_by: Maker) -> str:
    """
    Return an id for a result that came at once and has none.

    :param sha256: Of its files.
    """
    written = "\n".join([str(made_by), *sha256])
    return f"result-{hashlib.sha256(written.encode()).hexdigest()[:16]}"
