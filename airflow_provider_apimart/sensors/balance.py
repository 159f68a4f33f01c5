"""Waiting until the account can pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, BaseSensorOperator, PokeReturnValue

from airflow_provider_apimart.api.dollars import dollars
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
    Wait until the API key can pay for so much, and return what is left on it.

    With ``timeout=0`` it looks once: a DAG stops before it has paid for anything, and with ``soft_fail=True`` what
    comes after is skipped. Otherwise it waits for someone to top the balance up, best with ``mode="reschedule"``, which
    takes no worker slot between two looks. A key without a limit can always pay. Looking costs nothing.

    It reserves nothing: what other DAGs spend meanwhile is gone. To bound what a DAG may spend, see ``max_cost`` of
    :class:`~airflow_provider_apimart.operators.batch.ApimartBatchGenerationOperator`.

    With ``soft_fail`` or ``never_fail``, whatever keeps the sensor from succeeding skips it.

    :param required: US dollars. (templated)
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` whose API key is to pay. (templated)
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
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.required = required
        self.apimart_conn_id = apimart_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Wait, and return the balance: ``remaining`` and ``used`` in US dollars, and whether it is ``unlimited``.

        :raises ApimartInvalidRequestError: If ``required`` is no amount. Not retried.
        :raises ApimartError: If the balance couldn't be read. What trying again can't mend isn't retried.
        :raises AirflowSensorTimeout: If the sensor's ``timeout`` ran out. Not retried.
        """
        with skip_on_soft_fail(self):
            try:
                return cast("dict[str, Any]", super().execute(context))
            except AirflowSensorTimeout as error:
                raise AirflowSensorTimeout(
                    f"The API key of the connection {self.apimart_conn_id!r} can't pay the ${self.required} that are "
                    "required. Top up the balance, then clear this task"
                ) from error

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, and return the balance if it is enough."""
        required = dollars(self.required, "required")
        balance = self._look()
        if balance is None:
            return PokeReturnValue(is_done=False)
        left = "no limit" if balance.remaining is None else f"${balance.remaining}"
        self.log.info("The API key has %s left; $%s are required", left, required)
        return PokeReturnValue(is_done=balance.covers(required), xcom_value=returnable(balance.to_xcom()))

    def _look(self) -> Balance | None:
        """Return the balance, or nothing if APIMart only says that it is used up or asks to slow down."""
        from airflow_provider_apimart.api.balance import balance
        from airflow_provider_apimart.api.flow import retrying

        # When the service only asks to slow down, the next poke comes soon enough.
        policy = replace(self.hook.status_policy, rate_limited_seconds=0.0)
        try:
            return self.hook.run(retrying(balance, policy))
        except (ApimartBalanceError, ApimartRateLimitError) as error:
            self.log.info("No balance was told: %s", error)
            return None
