"""``soft_fail`` and ``never_fail`` of the sensors, with the same effect in every mode and on every version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_apimart.exceptions import ApimartError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseSensorOperator


@contextmanager
def skip_on_soft_fail(sensor: BaseSensorOperator) -> Iterator[None]:
    """
    Skip the sensor on any error inside, if ``soft_fail`` or ``never_fail`` is set.

    Airflow's own handling of errors that are retried differs between modes and versions.
    """
    try:
        yield
    except (ApimartError, AirflowSensorTimeout) as error:
        if sensor.soft_fail or sensor.never_fail:
            raise AirflowSkipException(f"Skipped (soft_fail or never_fail): {error}") from error
        raise
