"""Options of reuse that batches, generation operators and quotes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from airflow_provider_apimart.exceptions import ApimartArgumentError
from airflow_provider_apimart.results.storage.paths import is_relative

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_apimart.library.task_library import TaskLibrary


@dataclass(frozen=True)
class ReuseOptions:
    """
    Options of reuse. The arguments of operators have the same names and meanings.

    :param reuse_within: Seconds for which a completed and saved result serves identical requests, ``None`` to reuse
        nothing.
    :param library: Absolute path or URI of the library, ``None`` for ``[apimart] library_path``.
    :param copy_reused: Whether reused files are copied into the destination. If not, they are only referenced.
    """

    reuse_within: float | None = None
    library: str | ObjectStoragePath | None = None
    copy_reused: bool = True

    def open(self, *, is_required: bool = False) -> TaskLibrary | None:
        """
        Return the library for a task, ``None`` if there is none.

        :param is_required: Whether a lookup raises if the library can't be read.
        :raises ApimartArgumentError: If the library is relative, or results are to be reused and none is named.
        """
        from airflow_provider_apimart.library.task_library import TaskLibrary

        place = str(self.library or library_path() or "")
        if place and is_relative(place):
            raise ApimartArgumentError(
                f"Invalid argument: the library {place!r} is relative, not an absolute path or a URI. Nothing was sent"
            )
        if place:
            return TaskLibrary(place, self.reuse_within, copy_reused=self.copy_reused, is_required=is_required)
        if self.reuse_within is not None:
            raise ApimartArgumentError(
                "Invalid argument: reuse_within needs a library. Set [apimart] library_path or the argument library. "
                "Nothing was sent"
            )
        return None


def library_path() -> str | None:
    """Return the configured directory or URI of the library, ``None`` if there is none."""
    return conf.get("apimart", "library_path", fallback=None) or None


def check_reuse(destination: object, **given: object) -> None:
    """
    Check that results are saved where they are to be reused or entered.

    :param given: The arguments that need it, ``None`` for those that weren't given.
    :raises ApimartArgumentError: If there is no destination.
    """
    wanting = [name for name, value in given.items() if value is not None]
    if destination is None and wanting:
        raise ApimartArgumentError(
            f"Invalid argument: {wanting[0]} needs a destination, since only saved results can be reused"
        )
