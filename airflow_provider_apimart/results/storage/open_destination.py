"""Opening of a destination from a path or URI, and the one class of its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_apimart.exceptions import ApimartDestinationError, ApimartError
from airflow_provider_apimart.results.storage.destination import Destination
from airflow_provider_apimart.results.storage.local_destination import LocalDestination
from airflow_provider_apimart.results.storage.object_store_destination import ObjectStoreDestination
from airflow_provider_apimart.results.storage.paths import LOCAL_PROTOCOLS, storage_path
from airflow_provider_apimart.results.storage.receipts import KeptFileLostError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def destination_at(destination: str | ObjectStoragePath) -> Destination:
    """
    Return the destination that a path or URI names.

    :raises ApimartDestinationError: If its storage can't be used.
    """
    path = storage_path(destination)
    return LocalDestination(path) if path.protocol in LOCAL_PROTOCOLS else ObjectStoreDestination(path)


@contextmanager
def destination_errors(destination: str) -> Iterator[None]:
    """
    Raise every error of a destination as one class, whatever its library raises.

    :raises ApimartDestinationError: Instead of any error but an :class:`ApimartError` and a
        :class:`~airflow_provider_apimart.results.storage.receipts.KeptFileLostError`.
    """
    from airflow_provider_apimart.api.error_mapping import root_reason

    try:
        yield
    except (ApimartError, KeptFileLostError):
        raise
    except Exception as error:
        raise ApimartDestinationError(
            f"{destination} can't be written: {root_reason(error)}. Fix it and clear the task; saving again costs "
            "nothing while the URLs live"
        ) from error
