"""Routes of the pages. Every one of them is authenticated by Airflow, and none of them changes anything."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from airflow_provider_apimart.html.environment import STATIC, render
from airflow_provider_apimart.links.pages import PREFIX
from airflow_provider_apimart.plugin.access import authenticated
from airflow_provider_apimart.plugin.index import Index
from airflow_provider_apimart.plugin.ledgers import Ledgers
from airflow_provider_apimart.plugin.pages import Addresses, NotFoundError, Pages, Seen
from airflow_provider_apimart.plugin.pictures import CACHED, OpenFile, open_file, response_of
from airflow_provider_apimart.plugin.query import Query
from airflow_provider_apimart.plugin.ranges import is_current
from airflow_provider_apimart.plugin.storage import NotReadableError
from airflow_provider_apimart.plugin.threads import in_file_thread, in_thread
from airflow_provider_apimart.plugin.thumbnails import MEDIA_TYPE, thumbnail_of

_METHODS = ["GET", "HEAD"]
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
_STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "icon-dark.svg": "image/svg+xml",
}

User = Annotated[Any, Depends(authenticated)]


def create_app(pages: Pages | None = None) -> FastAPI:
    """
    Return the application, to be mounted below Airflow's interface.

    :param pages: What it shows; by default what ``[apimart] ledger_path`` holds.
    """
    app = FastAPI(
        title="APIMart",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(authenticated)],
    )
    app.state.pages = pages or Pages(Index(), Ledgers())
    for path, route in _ROUTES.items():
        app.add_api_route(path, route, methods=_METHODS, response_model=None)
    app.middleware("http")(_with_headers)
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(NotFoundError)(_not_found)
    app.exception_handler(NotReadableError)(_not_readable)
    return app


async def _batches(request: Request, user: User) -> Response:
    return await _page(request, user, lambda seen: seen.batches(_addresses(request), _query(request)))


async def _gallery(request: Request, user: User) -> Response:
    return await _page(request, user, lambda seen: seen.gallery(_addresses(request), _query(request)))


async def _item(request: Request, user: User, name: str, key: str) -> Response:
    return await _page(request, user, lambda seen: seen.item(_addresses(request), _query(request), name, key))


async def _cost(request: Request, user: User) -> Response:
    return await _page(request, user, lambda seen: seen.cost(_addresses(request), _query(request)))


async def _cost_csv(request: Request, user: User) -> Response:
    seen = await _seen(request, user)
    content = await in_thread(seen.cost_csv, _query(request))
    headers = {"Content-Disposition": 'attachment; filename="apimart-cost.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


async def _live(request: Request, user: User) -> Response:
    seen = await _seen(request, user)
    return JSONResponse(await in_thread(seen.live, _addresses(request), request.query_params.getlist("work")))


async def _file(request: Request, user: User, name: str, key: str, number: int) -> Response:
    found = await _opened(request, user, name, key, number)
    return response_of(found, request.headers, with_content=request.method == "GET")


async def _thumbnail(request: Request, user: User, name: str, key: str, number: int) -> Response:
    found = await _opened(request, user, name, key, number)
    try:
        made = await in_file_thread(thumbnail_of, found.file, found.media_type, found.source, _pages(request).index)
    except BaseException:
        found.close()
        raise
    if made is None:
        return response_of(found, request.headers, with_content=request.method == "GET")
    found.close()
    return Response(made, media_type=MEDIA_TYPE, headers=CACHED)


async def _static(request: Request, name: str) -> Response:
    if name not in _STATIC:
        raise NotFoundError
    content = (STATIC / name).read_bytes()
    # After an upgrade of the provider, pages must not meet the script of the version before.
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": tag}
    if is_current(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_STATIC[name], headers=headers)


_ROUTES: dict[str, Callable[..., Awaitable[Response]]] = {
    "/": _batches,
    "/gallery": _gallery,
    "/items/{name}/{key}": _item,
    "/cost": _cost,
    "/cost.csv": _cost_csv,
    "/live": _live,
    "/files/{name}/{key}/{number}": _file,
    "/thumbnails/{name}/{key}/{number}": _thumbnail,
    "/static/{name}": _static,
}


async def _page(request: Request, user: Any, shown: Callable[[Seen], str]) -> Response:
    seen = await _seen(request, user)
    return HTMLResponse(await in_thread(shown, seen))


async def _opened(request: Request, user: Any, name: str, key: str, number: int) -> OpenFile:
    seen = await in_thread(_pages(request).seen_by, user, name)
    file, folder = await in_thread(seen.file, name, key, number)
    return await in_file_thread(open_file, file, folder)


async def _seen(request: Request, user: Any) -> Seen:
    return await in_thread(_pages(request).seen_by, user)


def _pages(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


def _query(request: Request) -> Query:
    return Query.of(request.query_params)


def _addresses(request: Request) -> Addresses:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return Addresses(root, root.removesuffix(PREFIX))


async def _with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _refused(request: Request, error: HTTPException) -> Response:
    """Lead a browser to the login page, and answer everything else with the status."""
    addresses = _addresses(request)
    # Airflow answers 403 to a token that another key has signed, such as one from before a restart.
    if error.status_code in (401, 403) and _wants_page(request):
        query = urlencode({"next": str(request.url)})
        return RedirectResponse(f"{addresses.airflow}/api/v2/auth/login?{query}", status_code=307)
    return JSONResponse({"detail": error.detail}, status_code=error.status_code)


async def _not_found(request: Request, error: NotFoundError) -> Response:
    return _problem(request, 404, "There is nothing at this address, or you may not see it.")


async def _not_readable(request: Request, error: NotReadableError) -> Response:
    return _problem(request, 503 if error.is_temporary else 404, f"{error}.")


def _problem(request: Request, status: int, reason: str) -> Response:
    if not _wants_page(request):
        return JSONResponse({"detail": reason}, status_code=status)
    addresses = _addresses(request)
    return HTMLResponse(
        render("problem.html", {"addresses": addresses, "title": "", "reason": reason, "status": status}),
        status_code=status,
    )


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
