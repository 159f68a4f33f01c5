"""
Paths of Airflow's object storage: what their protocols mean, and how they are opened and written as URIs.

A protocol that isn't listed here belongs to a storage of which nothing is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_apimart.compat.object_storage import connection_id, usable_path
from airflow_provider_apimart.exceptions import ApimartDestinationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

LOCAL_PROTOCOLS = frozenset({"", "file", "local"})
S3_PROTOCOLS = frozenset({"s3", "s3a"})
_GOOGLE_PROTOCOLS = frozenset({"gs", "gcs"})
_AZURE_PROTOCOLS = frozenset({"abfs", "abfss", "adl", "az", "wasb", "wasbs"})
#: Storages that show an object only when all of it has arrived.
ATOMIC_PROTOCOLS = S3_PROTOCOLS | _GOOGLE_PROTOCOLS | _AZURE_PROTOCOLS
#: The argument of an upload that takes the media type. These storages can also create an object only if there is none.
CONTENT_TYPE_ARGUMENTS = {
    **dict.fromkeys(S3_PROTOCOLS, "ContentType"),
    **dict.fromkeys(_GOOGLE_PROTOCOLS, "content_type"),
}
_PACKAGES = {
    **dict.fromkeys(S3_PROTOCOLS, "apache-airflow-providers-amazon[s3fs]"),
    **dict.fromkeys(_GOOGLE_PROTOCOLS, "apache-airflow-providers-google[gcsfs]"),
    **dict.fromkeys(_AZURE_PROTOCOLS, "apache-airflow-providers-microsoft-azure"),
    **dict.fromkeys(("sftp", "ssh"), "apache-airflow-providers-sftp[sshfs]"),
}


def is_relative(place: str) -> bool:
    """
    Return whether a path or URI depends on the working directory, which differs between workers, or names no bucket.

    ``file://data`` and ``file:////data`` are in the working directory, and ``s3://`` nowhere.
    """
    protocol, is_uri, rest = place.partition("://")
    if not is_uri:
        return not place.startswith("/")
    authority, is_path, path = rest.partition("/")
    if protocol.lower() in LOCAL_PROTOCOLS:
        return not is_path or authority[-1:] not in ("", "@") or path.startswith("/")
    return not rest.strip("/")


def storage_path(place: str | ObjectStoragePath) -> ObjectStoragePath:
    """
    Return a path of Airflow's object storage, whose storage can be used.

    :raises ApimartDestinationError: If the protocol is unknown, or the library for it isn't installed.
    """
    try:
        return usable_path(place)
    except Exception as error:
        # Any error: storage libraries raise errors of any class.
        raise _unusable(str(place), error) from error


def uri_of(path: ObjectStoragePath) -> str:
    """Return the URI of a path as ``ObjectStoragePath`` takes it, with the connection's id on every version."""
    uri, conn_id = str(path), connection_id(path)
    connection = f"://{conn_id}@"
    return uri if conn_id is None or connection in uri else uri.replace("://", connection, 1)


@dataclass(frozen=True)
class StorageUri:
    """
    URI of a file or directory as known outside of Airflow, without the Airflow connection.

    :param scheme: Such as ``s3``; ``file`` for a path of this machine.
    :param bucket: The bucket or container; empty for a file.
    :param path: The path within, beginning with a slash.
    """

    scheme: str
    bucket: str
    path: str

    @classmethod
    def of(cls, uri: str) -> StorageUri:
        """
        Return the location that a URI or an absolute path names.

        :param uri: As tasks write it. The Airflow connection id in it is dropped.
        """
        scheme, is_uri, rest = uri.partition("://")
        if not is_uri:
            scheme, rest = "file", uri
        authority, _, path = rest.partition("/")
        return cls(scheme.lower(), authority.rpartition("@")[2], f"/{path}")

    @property
    def public(self) -> str:
        """The URI without the connection, and without the slash behind a directory."""
        return f"{self.scheme}://{self.bucket}{self.path}".rstrip("/")

    @property
    def key(self) -> str:
        """The path as the libraries of S3 and Google Cloud Storage take it."""
        return f"{self.bucket}{self.path}"

    @property
    def dataset(self) -> tuple[str, str]:
        """Namespace and name after OpenLineage's rules."""
        return (f"{self.scheme}://{self.bucket}", self.path.lstrip("/")) if self.bucket else (self.scheme, self.path)


def _unusable(place: str, error: Exception) -> ApimartDestinationError:
    from airflow_provider_apimart.api.error_mapping import root_reason

    protocol = place.partition("://")[0]
    # Airflow raises any of these for a protocol that no installed provider serves.
    if isinstance(error, ImportError) or f"'{protocol}'" in str(error) or "No filesystem" in str(error):
        package = _PACKAGES.get(protocol, f"the Airflow provider that serves {protocol}://")
        return ApimartDestinationError(
            f"{place} can't be used: the storage {protocol}:// isn't installed. Nothing was sent or fetched. Install "
            f"{package} on all workers"
        )
    return ApimartDestinationError(
        f"{place} can't be used: {root_reason(error)}. Nothing was sent or fetched. Check the path and its connection"
    )
