"""Operator for quotes: what requests will cost, and whether they fit their models, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.compat.xcom import returnable
from airflow_provider_apimart.operators.requests import ReadsRequests

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ApimartQuoteOperator(ReadsRequests):
    """
    Quote requests at APIMart's public prices, and check them, without spending anything.

    It takes the arguments of
    :class:`~airflow_provider_apimart.operators.batch.ApimartBatchGenerationOperator` that describe the requests, so
    that a branch, an approval or a mail can decide before a batch is paid for. It returns:

    * ``items``: the number of requests;
    * ``cost``: US dollars of those that have a quote;
    * ``certainty``: ``"exact"``, ``"at_most"``, or ``"no_quote"`` if at least one request has none;
    * ``without_quote``: the number of requests without a quote;
    * ``by_model``: ``{model: {"items": ..., "cost": ..., "without_quote": ...}}``;
    * ``warnings``: why requests have no quote, and what contradicts the descriptions of their models.

    Quotes are public prices. An account may pay less or more than those; a batch's ``max_cost`` learns the difference
    from what generations cost.

    All arguments of :class:`~airflow_provider_apimart.operators.requests.ReadsRequests`.

    .. seealso:: :doc:`/cost`
    """

    ui_color = "#e8eaed"

    def __init__(self, *, multiple_outputs: bool = True, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return the quote.

        :raises ApimartInvalidRequestError: With all invalid requests, or with all requests that contradict the
            descriptions of their models and ``check="refuse"``. Not retried.
        """
        from airflow_provider_apimart.checks.check import Check, CheckedRequest, check_requests
        from airflow_provider_apimart.quotes.quote import total

        items = self.items()
        requests = [CheckedRequest.of(item.request, item.id) for item in items]
        findings = self.hook.run(check_requests(Check(self.check), self.hook.key_scope, requests))
        quoted = total(
            (str(item.request.payload.get("model")), self.hook.quote(item.request.modality, item.request.payload))
            for item in items
        )
        self.log.info("Requests: %d, quoted at: %s", quoted.items, quoted)
        warnings = [f"{count:,} without a quote: {reason}" for reason, count in quoted.reasons.most_common()]
        return returnable({**quoted.to_json(), "warnings": [*warnings, *findings]})
