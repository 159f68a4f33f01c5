"""URI of a file in Airflow's object storage, as known outside of Airflow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StorageUri:
    """
    A location in a storage.

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
    def dataset(self) -> tuple[str, str]:
        """Namespace and name after OpenLineage's rules."""
        return (f"{self.scheme}://{self.bucket}", self.path.lstrip("/")) if self.bucket else (self.scheme, self.path)
