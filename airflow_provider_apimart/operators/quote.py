"""Operator for quotes: what requests will cost, and whether they fit their models, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.arguments import optional_seconds
from airflow_provider_apimart.compat.xcom import returnable
from airflow_provider_apimart.library.options import ReuseOptions
from airflow_provider_apimart.operators.requests import ReadsRequests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.batch.items import BatchItem


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
    * ``reused``: the number of requests that the library of results serves, at no cost. ``cost``, ``certainty``,
      ``without_quote`` and ``by_model`` are of the others;
    * ``warnings``: why requests have no quote, and what contradicts the descriptions of their models.

    Quotes are public prices. An account may pay less or more than those; a batch's ``max_cost`` learns the difference
    from what generations cost.

    All arguments of :class:`~airflow_provider_apimart.operators.requests.ReadsRequests`, and:

    :param reuse_within: As for the batch, so that the quote is of what the batch would pay for. Seconds or a timedelta;
        ``None`` reuses nothing. See :doc:`/library`.
    :param library: Directory or URI of the library, by default ``[apimart] library_path``. (templated)

    .. seealso:: :doc:`/cost`
    """

    template_fields: Sequence[str] = (*ReadsRequests.template_fields, "library")
    ui_color = "#e8eaed"

    def __init__(
        self,
        *,
        reuse_within: float | timedelta | None = None,
        library: str | ObjectStoragePath | None = None,
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.reuse_within = optional_seconds(reuse_within, "reuse_within", exclusive=True)
        self.library = library

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return the quote.

        :raises ApimartInvalidRequestError: With all invalid requests, or with all requests that contradict the
            descriptions of their models and ``check="refuse"``. Not retried.
        """
        from airflow_provider_apimart.checks.check import Check, CheckedRequest, check_requests
        from airflow_provider_apimart.quotes.quote import total

        asked = self.items()
        items, reuse_warnings = self._new_items(asked)
        requests = [CheckedRequest.of(item.request, item.id) for item in items]
        findings = self.hook.run(check_requests(Check(self.check), self.hook.key_scope, requests))
        quoted = total(
            (str(item.request.payload.get("model")), self.hook.quote(item.request.modality, item.request.payload))
            for item in items
        )
        self.log.info("Requests: %d, reused: %d, quoted at: %s", len(asked), len(asked) - len(items), quoted)
        warnings = [f"{count:,} without a quote: {reason}" for reason, count in quoted.reasons.most_common()]
        counts = {"items": len(asked), "reused": len(asked) - len(items)}
        return returnable({**quoted.to_json(), **counts, "warnings": [*reuse_warnings, *warnings, *findings]})

    def _new_items(self, items: list[BatchItem]) -> tuple[list[BatchItem], list[str]]:
        """Return the items that the library doesn't serve, and trouble with the library."""
        from airflow_provider_apimart.library.matching import same_requests, unserved

        library = ReuseOptions(self.reuse_within, self.library).open() if self.reuse_within else None
        if library is None:
            return items, []
        identities = library.identities([item.request for item in items])
        same = same_requests(zip(items, identities, strict=True))
        new = {item.id for item in unserved(same, library.find(frozenset(identities)))}
        return [item for item in items if item.id in new], library.troubles
