"""Price book: the price lists of one installation, each read once and again when it is old."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote as percent_encoded

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow, ask, retrying
from airflow_provider_apimart.api.http_messages import Reply, Request, RequestKind
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.exceptions import ApimartError, ApimartRateLimitError, ApimartServerError
from airflow_provider_apimart.quotes.price_list import PriceList, PriceListError, read_price_list
from airflow_provider_apimart.quotes.quote import Quote, no_quote
from airflow_provider_apimart.quotes.quote_calculation import quote_request

#: Clients keep prices for 10 minutes to 24 hours, and read them again before they pay.
KEPT_SECONDS = 600.0
#: Where a limit depends on the prices, a blip of the route is worth a few repetitions.
PRICE_POLICY = RetryPolicy(max_requests=4, seconds=30.0, rate_limited_seconds=60.0)


@dataclass(frozen=True)
class _Page:
    """
    A price list, or why there is none.

    :param read_at: When it was read, in seconds of the book's clock.
    """

    read_at: float
    prices: PriceList | None
    reason: str = ""


@dataclass
class PriceBook:
    """
    The price lists of one installation of APIMart.

    :param policy: How often the price route is asked when it fails.
    :param clock: Seconds that only grow.
    """

    policy: RetryPolicy = PRICE_POLICY
    clock: Callable[[], float] = time.monotonic
    _pages: dict[str, _Page] = field(default_factory=dict)

    def quote(self, modality: Modality, payload: Mapping[str, Any]) -> Flow[Quote]:
        """
        Return what a request costs at the public prices. Trouble with the price route is no quote, never an error.

        :param payload: Body of the request.
        """
        model = payload.get("model")
        if not isinstance(model, str) or not model:
            return no_quote("the request names no model")
        if not self.is_fresh(model):
            yield from self.read(model)
        return self.known_quote(modality, payload)

    def known_quote(self, modality: Modality, payload: Mapping[str, Any]) -> Quote:
        """Return what a request costs at the prices that were read before."""
        page = self._pages.get(str(payload.get("model")))
        if page is None:
            return no_quote("its prices weren't read")
        return quote_request(page.prices, modality, payload) if page.prices else no_quote(page.reason)

    def read(self, model: str) -> Flow[None]:
        """Read the prices of a model, even if they are known already."""
        try:
            page = _Page(self.clock(), (yield from retrying(lambda: _price_list(model), self.policy)))
        except PriceListError as error:
            page = _Page(self.clock(), None, str(error))
        except ApimartError as error:
            page = _Page(self.clock(), None, f"the price route can't be read: {error.summary}")
        self._pages[model] = page

    def is_fresh(self, model: str) -> bool:
        """Whether the prices of a model were read within :data:`KEPT_SECONDS`."""
        page = self._pages.get(model)
        return page is not None and self.clock() - page.read_at < KEPT_SECONDS


def price_request(model: str) -> Request:
    """Return the request for the prices of a model. The route is public: it needs no API key, so it gets none."""
    path = f"{contract.PRICES_PATH}?model={percent_encoded(model, safe='')}"
    return Request("GET", path, kind=RequestKind.CATALOGUE, authorised=False)


def _price_list(model: str) -> Flow[PriceList]:
    reply = yield from ask(price_request(model))
    if reply.status != 200:
        raise _unanswered(reply)
    body = reply.json
    if body is None:
        raise ApimartServerError("The price route's reply isn't JSON", status=reply.status)
    return read_price_list(body, model)


def _unanswered(reply: Reply) -> ApimartError | PriceListError:
    if reply.status == 429:
        return ApimartRateLimitError("The price route asks to slow down", status=reply.status)
    if reply.status >= 500 or reply.status == 408:
        return ApimartServerError("The price route failed", status=reply.status)
    return PriceListError(f"the price route answered HTTP {reply.status}")
