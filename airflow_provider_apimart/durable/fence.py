"""
Fence: of all tries of a task, the newest one alone may submit.

Each try writes the fence before its first submit, and looks at it before each POST. An older try that still runs
finds another owner there, and submits nothing more. In files the fence is ``fence.json``, beside the facts; in
Airflow's state store it is an entry (:class:`~airflow_provider_apimart.durable.record.StateStoreRecord`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from airflow_provider_apimart.durable.checksummed_json import checked_json, with_checksum
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.exceptions import ApimartSupersededError

FENCE = "fence.json"
# Another process may be in the midst of writing it in place.
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True)
class Fence:
    """
    The newest writer, and all writers that have files.

    :param owner: The only writer that may submit.
    """

    owner: str
    writers: frozenset[str]

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return with_checksum({"owner": self.owner, "writers": sorted(self.writers)}).encode()


# Its writer has died or was stopped while it was writing in place.
_UNREADABLE = Fence(owner="", writers=frozenset())


def read_fence(folder: Folder) -> Fence | None:
    """
    Return the fence of a record in files, ``None`` if there is none.

    On a storage that writes in place it may be half written for good. It has no owner then, so that nobody may submit
    before the next writer has replaced it.

    :raises ValueError: If it is damaged, on a storage that writes files whole.
    """
    if folder.writes_whole:
        return _read(folder)
    for seconds in _PAUSES_SECONDS:
        try:
            return _read(folder)
        except ValueError:
            time.sleep(seconds)
    return _UNREADABLE


def _read(folder: Folder) -> Fence | None:
    try:
        said = checked_json(folder.read(FENCE).decode())
        return Fence(said["owner"], frozenset(said["writers"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{FENCE} is damaged: {error}") from error


def superseded() -> ApimartSupersededError:
    """Return the error of a try that a newer one has replaced."""
    return ApimartSupersededError(
        "A newer try of this task has begun and continues with its generations. This one submits nothing more"
    )


def overtaken() -> ApimartSupersededError:
    """Return the error of a try that has decided on less than an older one, which still runs, has noted by now."""
    return ApimartSupersededError(
        "An older try of this task still runs and has noted something since this one began. This one submits nothing. "
        "A retry continues with the older one's generation"
    )
