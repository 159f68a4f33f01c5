"""Paths of Airflow's object storage, opened and named in the same way on every version."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def usable_path(place: str | ObjectStoragePath) -> ObjectStoragePath:
    """
    Return a path whose storage can be used.

    :raises Exception: If its kind of storage is unknown, the library for it isn't installed, or its connection can't be
        used. Storage libraries raise errors of any class.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path = place if isinstance(place, ObjectStoragePath) else ObjectStoragePath(place)
    # Below Airflow 3.1, an unknown kind of storage is noticed only here.
    _ = path.fs
    return path


def connection_id(path: ObjectStoragePath) -> str | None:
    """Return the id of the Airflow connection of a path, ``None`` if it has none."""
    # Only below Airflow 3.2 is it among the options, and only from then on an attribute.
    found: str | None = path.storage_options.get("conn_id") or getattr(path, "conn_id", None)
    return found
