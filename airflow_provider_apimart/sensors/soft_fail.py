"""What ``soft_fail`` and ``never_fail`` mean for sensors of APIMart, in every mode and on every version the same."""

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
    Skip the sensor, whatever went wrong inside, if it asks for that.

    Airflow's own handling differs between the modes and versions for errors that aren't final.
    """
    try:
        yield
    except (ApimartError, AirflowSensorTimeout) as error:
        if sensor.soft_fail or sensor.never_fail:
            raise AirflowSkipException(f"Skipped, as soft_fail or never_fail asks: {error}") from error
        raise
