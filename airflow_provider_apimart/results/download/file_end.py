"""Whether a download without a length is complete: the end of its content, where its format has one."""

from __future__ import annotations

import hashlib

from airflow_provider_apimart.exceptions import ApimartTransientError

_START_BYTES = 12
_TAIL_BYTES = 64
# Some writers fill up behind the end.
_FILLING = b"\0\r\n\t "
_ENDS = {
    "image/png": b"IEND\xaeB`\x82",
    "image/jpeg": b"\xff\xd9",
    "image/gif": b"\0;",
    "image/svg+xml": b"svg>",
}
_RIFF = b"RIFF"


class FileEnd:
    """
    Check whether a file is whole that came without a length.

    Common formats show their own end. Of any other file, two downloads that are equal are whole.
    """

    def __init__(self) -> None:
        self._earlier: str | None = None
        self.restart()

    def restart(self) -> None:
        """Begin another download of the file."""
        self._digest = hashlib.sha256()
        self._start = self._tail = b""
        self._size = 0

    def take(self, content: bytes) -> None:
        """Take the next bytes of the file."""
        self._digest.update(content)
        self._size += len(content)
        self._start = (self._start + content[:_START_BYTES])[:_START_BYTES]
        self._tail = (self._tail + content[-_TAIL_BYTES:])[-_TAIL_BYTES:]

    def check(self, media_type: str) -> None:
        """
        Return if the file is whole.

        :raises ApimartTransientError: If only another download can show it.
        """
        earlier, self._earlier = self._earlier, self._digest.hexdigest()
        if not self._is_shown(media_type) and earlier != self._earlier:
            raise ApimartTransientError("its host named no length, and the file doesn't show its end")

    def _is_shown(self, media_type: str) -> bool:
        """Return whether the file's own format shows that it has ended."""
        if self._start.startswith(_RIFF):
            return self._size >= int.from_bytes(self._start[4:8], "little") + 8
        end = _ENDS.get(media_type)
        return end is not None and self._tail.rstrip(_FILLING).endswith(end)
