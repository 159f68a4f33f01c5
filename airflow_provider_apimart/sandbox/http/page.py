"""HTML page at ``/``: generations with their outputs, costs, requests and errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape

from aiohttp import web

from airflow_provider_apimart.sandbox.http.request_log import RequestView
from airflow_provider_apimart.sandbox.http.server import Server
from airflow_provider_apimart.sandbox.service.generations import GenerationView
from airflow_provider_apimart.sandbox.service.music import text_of

SHOWN = 60
LISTED = 40

_STYLE = """
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: #1c2430; background: #f4f5f8 }
main { max-width: 1200px; margin: 0 auto; padding: 28px 20px 60px }
h1 { margin: 0; font-size: 26px } h2 { margin: 34px 0 12px; font-size: 18px } p { margin: 4px 0 20px; color: #5a6474 }
.figures, .cards { display: grid; gap: 14px }
.figures { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)) }
.cards { grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)) }
.figure, .card { background: #fff; border-radius: 12px; box-shadow: 0 1px 3px #0002; overflow: hidden }
.figure { padding: 12px 16px } .figure b { display: block; font-size: 24px } .figure span { color: #5a6474 }
.media { display: flex; overflow: auto hidden; scrollbar-width: thin; background: #e3e6ec; height: 190px }
.media a, .media video { flex: 0 0 100%; height: 100% } .media img { width: 100%; height: 100%; object-fit: contain }
.media video { width: 100% }
.media:has(audio) { flex-wrap: wrap } .media audio { flex: 0 0 100%; margin: auto }
.media i { margin: auto; color: #5a6474 }
.about { padding: 10px 14px 14px; overflow-wrap: anywhere } .about small { color: #5a6474; display: block }
.badge { float: right; margin-left: 8px; padding: 1px 9px; border-radius: 9px; font-size: 12px; background: #dfe4ee }
.completed { background: #d3f2dc; color: #14602c } .failed { background: #fadbd8; color: #8c2016 }
table { width: 100%; border-collapse: collapse; background: #fff; border-radius: 12px; box-shadow: 0 1px 3px #0002 }
td, th { padding: 6px 12px; text-align: left; border-bottom: 1px solid #eceef2; overflow-wrap: anywhere }
"""


_REFRESH = """
setInterval(async () => {
  if (document.hidden || [...document.querySelectorAll('video, audio')].some(media => !media.paused)) return;
  const text = await fetch(location).then(reply => reply.text()).catch(() => '');
  const fresh = new DOMParser().parseFromString(text, 'text/html').querySelector('main');
  const shown = document.querySelector('main');
  if (fresh && fresh.innerHTML !== shown.innerHTML) shown.replaceWith(fresh);
}, 2000)
"""
"""Replaces the content of the page every two seconds where it has changed, except while media play."""


class Page:
    """
    The route of the HTML page.

    :param server: the server to show
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.get("/", self._respond)]

    async def _respond(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._html(), content_type="text/html")

    def _html(self) -> str:
        apimart, log = self._server.apimart, self._server.request_log
        newest = itertools.islice(reversed(tuple(apimart.billing)), SHOWN)
        refused = [view for view in log.requests[-5000:] if view.status is None or view.status >= 400]
        return _document(
            _figures(self._counts()),
            "<h2>Generations</h2>",
            _cards(map(apimart.view, newest)),
            "<h2>Requests</h2>",
            _figures(log.by_route),
            "<h2>Errors and lost replies</h2>",
            _refusals(refused[: -LISTED - 1 : -1]),
        )

    def _counts(self) -> Mapping[str, object]:
        apimart = self._server.apimart
        balance = apimart.billing.account(apimart.settings.api_key).balance
        return {
            "accepted": apimart.billing.accepted,
            "billed": apimart.billing.billed,
            "refunded": apimart.billing.accepted - apimart.billing.billed,
            "charged": f"$ {apimart.billing.dollars}",
            "balance": "unlimited" if balance is None else f"$ {balance}",
            "refused": sum(self._server.request_log.refused.values()),
        }


def _document(*parts: str) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>APIMart sandbox</title><style>{_STYLE}</style><main><h1>APIMart sandbox</h1>"
        "<p>All costs are simulated.</p>" + "".join(parts) + f"</main><script>{_REFRESH}</script>"
    )


def _figures(figures: Mapping[str, object]) -> str:
    cells = (
        f"<div class=figure><b>{escape(str(value))}</b><span>{name}</span></div>" for name, value in figures.items()
    )
    return f"<div class=figures>{''.join(cells) or 'None yet.'}</div>"


def _cards(views: Iterable[GenerationView]) -> str:
    return f"<div class=cards>{''.join(map(_card, views)) or 'None yet.'}</div>"


def _card(view: GenerationView) -> str:
    prompt = escape(text_of(view.payload) or "(no prompt)")
    money = "refunded" if view.refunded else f"$ {view.cost}"
    reason = f"<small>{escape(view.failure)}</small>" if view.failure else ""
    return (
        f"<div class=card><div class=media>{_media(view)}</div><div class=about>"
        f"<span class='badge {view.status}'>{view.status}</span>{prompt}{reason}"
        f"<small>{escape(view.model)} · {money}</small><small>{view.generation_id}</small></div></div>"
    )


def _media(view: GenerationView) -> str:
    if not view.urls:
        return f"<i>{view.progress} %</i>" if view.status != "failed" else "<i>no output</i>"
    if view.modality == "music":
        return "".join(f"<audio src='{escape(url)}' controls preload=none></audio>" for url in view.urls)
    if view.modality == "video":
        return "".join(f"<video src='{escape(url)}' controls preload=metadata></video>" for url in view.urls)
    return "".join(f"<a href='{escape(url)}'><img src='{escape(url)}' loading=lazy alt=''></a>" for url in view.urls)


def _refusals(views: Iterable[RequestView]) -> str:
    rows = "".join(map(_refusal, views))
    return f"<table><tr><th>time<th>request<th>status<th>fault</tr>{rows}</table>" if rows else "None."


def _refusal(view: RequestView) -> str:
    moment = datetime.fromtimestamp(view.time, UTC)
    request = escape(f"{view.method} {view.path}")
    return f"<tr><td>{moment:%H:%M:%S}<td>{request}<td>{view.status or 'no reply'}<td>{view.fault or ''}</tr>"
