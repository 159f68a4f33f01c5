"""Sensor that waits for a sufficient balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, BaseSensorOperator, PokeReturnValue

from airflow_provider_apimart.api.arguments import dollars, is_template, seconds
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.compat.xcom import returnable
from airflow_provider_apimart.exceptions import ApimartBalanceError, ApimartRateLimitError
from airflow_provider_apimart.hooks.lazy_hook import LazyHook
from airflow_provider_apimart.sensors.soft_fail import skip_on_soft_fail

if TYPE_CHECKING:
    from decimal import Decimal

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_apimart.api.balance import Balance


class ApimartBalanceSensor(LazyHook, BaseSensorOperator):
    """
    Wait until the balance of the API key covers an amount, and return the balance.

    With ``timeout=0`` it reads the balance once: the DAG stops before anything is paid, and with ``soft_fail=True`` the
    downstream tasks are skipped. Otherwise it waits until the balance is topped up, best with ``mode="reschedule"``,
    which needs no worker slot between two reads. A key without a limit always suffices. Reading costs nothing.

    It reserves nothing: other DAGs may spend the balance meanwhile. To limit the cost of a DAG, see ``max_cost`` of
    :class:`~airflow_provider_apimart.operators.batch.ApimartBatchGenerationOperator`.

    With ``soft_fail`` or ``never_fail``, any error skips the sensor.

    :param required: Amount in US dollars. (templated)
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` whose API key pays. (templated)
    """

    template_fields: Sequence[str] = ("required", "apimart_conn_id")
    ui_color = "#d3f5e3"

    def __init__(
        self,
        *,
        required: float | str | Decimal,
        apimart_conn_id: str = "apimart_default",
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        for name in ("poke_interval", "timeout"):
            if kwargs.get(name) is not None:
                kwargs[name] = seconds(kwargs[name], name)
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.required = required if is_template(required) else dollars(required, "required")
        self.apimart_conn_id = apimart_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Wait, and return the balance: ``remaining`` and ``used`` in US dollars, and whether it is ``unlimited``.

        :raises ApimartInvalidRequestError: If ``required`` is not an amount. Not retried.
        :raises ApimartError: If the balance could not be read.
        :raises AirflowSensorTimeout: If the sensor's ``timeout`` expired. Not retried.
        """
        with skip_on_soft_fail(self):
            try:
                return cast("dict[str, Any]", super().execute(context))
            except AirflowSensorTimeout as error:
                raise AirflowSensorTimeout(
                    f"The API key of the connection {self.apimart_conn_id!r} cannot pay the required "
                    f"{written_dollars(dollars(self.required, 'required'))}. Top up the balance, then clear this task"
                ) from error

    def poke(self, context: Context) -> PokeReturnValue:
        """Read the balance once, and return it if it is sufficient."""
        required = dollars(self.required, "required")
        balance = self._read()
        if balance is None:
            return PokeReturnValue(is_done=False)
        left = "no limit" if balance.remaining is None else written_dollars(balance.remaining)
        self.log.info("The API key has %s left; %s are required", left, written_dollars(required))
        return PokeReturnValue(is_done=balance.covers(required), xcom_value=returnable(balance.to_xcom()))

    def _read(self) -> Balance | None:
        """Return the balance, ``None`` if APIMart only says that it is used up or that the rate limit was reached."""
        from airflow_provider_apimart.api.balance import balance
        from airflow_provider_apimart.api.flow import retrying

        # After a 429, the next poke reads the balance.
        policy = replace(self.hook.status_policy, rate_limited_seconds=0.0)
        try:
            return self.hook.run(retrying(balance, policy))
        except (ApimartBalanceError, ApimartRateLimitError) as error:
            self.log.info("The balance is not known: %s", error)
            return None
