"""Routes of the API and of public files; each request passes faults, authentication, limits and the service."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from airflow_provider_apimart.sandbox.http import connection_faults
from airflow_provider_apimart.sandbox.http.bodies import ranged, read_file
from airflow_provider_apimart.sandbox.http.request_log import RequestLog, RequestView
from airflow_provider_apimart.sandbox.media.files import Files, MissingExtraError
from airflow_provider_apimart.sandbox.media.state_file import StateFile
from airflow_provider_apimart.sandbox.service import validation
from airflow_provider_apimart.sandbox.service.clock import Clock, http_date
from airflow_provider_apimart.sandbox.service.dialects import PollRoute
from airflow_provider_apimart.sandbox.service.faults import Fault, FaultPlan
from airflow_provider_apimart.sandbox.service.models import Modality
from airflow_provider_apimart.sandbox.service.replies import (
    ERRORS,
    WITH_RETRY_AFTER,
    RefusedError,
    Reply,
    json_reply,
    refusal,
    worded,
)
from airflow_provider_apimart.sandbox.service.service import Apimart, Submission
from airflow_provider_apimart.sandbox.service.settings import ApiKey, SandboxSettings

MAX_BODY = 256 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """
    A request being processed.

    :param body: its body; empty for an upload, which is read in parts
    :param delay: seconds by which a fault delays the reply
    :param number: its number in the request log
    """

    request: web.Request
    route: str
    body: bytes
    request_id: str
    delay: float
    number: int


Handler = Callable[[Call, ApiKey], Awaitable[Reply]]
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """
    The service, its files, faults and logs behind one port.

    :param settings: initial settings, restored by :meth:`reset`
    :param base_url: base URL of the sandbox
    """

    def __init__(self, settings: SandboxSettings, base_url: str) -> None:
        self._first_settings = settings
        self._base_url = base_url
        self._request_numbers = itertools.count(1)
        self._start()

    def _start(self) -> None:
        settings = self._first_settings
        self.clock = Clock()
        self.apimart = Apimart(settings, self.clock, settings.files_url or self._base_url)
        self.files = Files(self.apimart)
        self.apimart.is_missing = self.files.is_missing
        self.faults = FaultPlan(settings.seed)
        self.request_log = RequestLog(settings.kept_requests)
        self.file_request_log = RequestLog(settings.kept_requests)
        path = settings.state
        self.state_file = StateFile(Path(path), self.apimart, self.files) if path else None

    def reset(self) -> None:
        """Reset all state: generations, accounts, files, request logs, faults, settings and the clock."""
        self.files.delete()
        self.files.close()
        self._start()

    def close(self) -> None:
        """Save the state, if it is kept, and delete the other files on disk."""
        self.save()
        self.files.close()

    def load(self) -> None:
        """Restore the state file, if there is one; raises :class:`.StateFileError` for a broken one."""
        if self.state_file:
            self.state_file.load()

    def save(self) -> None:
        """Write the state file, if there is one."""
        if self.state_file:
            self.state_file.save()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the API and of the public files."""
        return [
            web.post("/v1/uploads/images", self._api("upload", self._upload)),
            web.post("/v1/images/generations", self._api("submit", self._submit("image"))),
            web.post("/v1/videos/generations", self._api("submit", self._submit("video"))),
            web.post("/v1/music/generations", self._api("submit", self._submit("music"))),
            web.get("/v1/music/tasks/{id}", self._api("status", self._status("music"))),
            web.get("/v1/tasks/{id}", self._api("status", self._status("tasks"))),
            web.get("/v1/images/generations/{id}", self._api("status", self._status("generations"))),
            web.get("/v1/videos/generations/{id}", self._api("status", self._status("generations"))),
            web.get("/v1/balance", self._api("balance", self._balance)),
            web.get("/v1/user/balance", self._api("balance", self._balance)),
            web.get("/v1/models", self._api("models", self._models)),
            web.get("/v1/model-schema", self._api("models", self._model_schema)),
            web.get("/v1/model-docs", self._api("models", self._model_docs)),
            web.get("/api/pricing/model", self._open("pricing", self._pricing)),
            web.get("/api/marketplace/models", self._open("pricing", self._marketplace)),
            web.route("*", "/v1/{tail:.*}", self._api("other", self._unknown)),
            web.get("/f/{folder}/{name}", self._public("file", self._file)),
            web.route("*", "/elsewhere{tail:.*}", self._public("elsewhere", self._elsewhere)),
        ]

    def _api(self, route: str, handler: Handler) -> Respond:
        async def respond(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route, self.request_log, lambda call: self._answer(call, handler))

        return respond

    def _open(self, route: str, answer: Callable[[Call], Awaitable[Reply]]) -> Respond:
        async def respond(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route, self.request_log, answer)

        return respond

    def _public(self, route: str, answer: Callable[[Call], Awaitable[Reply]]) -> Respond:
        async def respond(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route, self.file_request_log, answer)

        return respond

    async def _serve(
        self, request: web.Request, route: str, log: RequestLog, answer: Callable[[Call], Awaitable[Reply]]
    ) -> web.StreamResponse:
        """Process a request, apply the fault that hits it, and log it."""
        fault = self.faults.pick(route)
        view = RequestView(request.method, request.path_qs, route, request.headers, self.clock.now())
        number = log.open(replace(view, fault=fault.kind if fault else None))
        call = Call(request, route, b"", self._request_id(), _delay(fault), number)
        if fault and fault.kind == "closed_before_reading":
            return await self._apply_fault(call, log, fault, _NOTHING)
        if route != "upload":
            call = replace(call, body=await request.read())
            log.note(number, size=len(call.body), payload=_payload(call.body))
        if fault and fault.moment == "before":
            return await self._apply_fault(call, log, fault, _NOTHING)
        reply = await answer(call)
        return await self._apply_fault(call, log, fault, reply) if fault else self._send(call, log, reply)

    async def _apply_fault(self, call: Call, log: RequestLog, fault: Fault, reply: Reply) -> web.StreamResponse:
        """Change the reply, or damage the connection, as a fault demands."""
        reply = self._faulty_reply(call, fault, reply)
        effect = connection_faults.EFFECTS.get(fault.kind)
        if effect is None:
            return self._send(call, log, reply)
        log.close(call.number, None)
        await effect(call.request, self._signed(call, reply), fault)
        return web.Response()

    def _faulty_reply(self, call: Call, fault: Fault, reply: Reply) -> Reply:
        if fault.kind == "redirect":
            port = self._base_url.rpartition(":")[2]
            place = fault.location or f"http://localhost:{port}/elsewhere{call.request.path_qs}"
            return Reply(fault.status or 307, b"", headers={"Location": place})
        if fault.kind not in ERRORS:
            return reply
        reply = worded(ERRORS[fault.kind], fault.message)
        reply = replace(reply, status=fault.status or reply.status)
        if fault.kind not in WITH_RETRY_AFTER:
            return reply
        return reply.with_headers(Retry_After=_retry_after(fault.retry_after, date=fault.retry_after_date))

    def _send(self, call: Call, log: RequestLog, reply: Reply) -> web.Response:
        log.close(call.number, reply.status)
        signed = self._signed(call, reply)
        headers = {"Content-Type": signed.content_type, **signed.headers}
        return web.Response(status=signed.status, body=signed.body, headers=headers)

    def _signed(self, call: Call, reply: Reply) -> Reply:
        """Add the request's id where the service has it."""
        if call.route in ("file", "elsewhere"):
            return reply
        if reply.status == 401:
            reply = worded(reply, f"invalid API key (request id: {call.request_id})")
        return reply.with_headers(X_Oneapi_Request_Id=call.request_id)

    def _request_id(self) -> str:
        moment = datetime.fromtimestamp(self.clock.now(), UTC)
        return f"{moment:%Y%m%d%H%M%S}{next(self._request_numbers) % 1_000_000:06d}"

    async def _answer(self, call: Call, handler: Handler) -> Reply:
        try:
            key = self.apimart.authenticate(call.request.headers.get("Authorization"))
            self.apimart.admit(call.route)
            return await handler(call, key)
        except RefusedError as error:
            return self._refused(error)

    def _refused(self, error: RefusedError) -> Reply:
        form = self.apimart.settings.retry_after
        if error.retry_after is None or form == "none":
            return error.reply
        return error.reply.with_headers(Retry_After=_retry_after(error.retry_after, date=form == "date"))

    async def _upload(self, call: Call, _key: ApiKey) -> Reply:
        filename, content, size = await read_file(call.request)
        self.request_log.note(call.number, size=size)
        if size > validation.MAX_UPLOAD:
            raise refusal("too_large", f"file size {size} exceeds maximum {validation.MAX_UPLOAD} bytes")
        content_type = validation.image_type(content)
        url = await asyncio.to_thread(self.files.save, filename, content_type, content)
        body = {"url": url, "filename": filename, "content_type": content_type, "bytes": size}
        await asyncio.sleep(call.delay)
        return json_reply({**body, "created_at": int(self.clock.now())})

    def _submit(self, modality: Modality) -> Handler:
        async def submit(call: Call, key: ApiKey) -> Reply:
            headers = call.request.headers
            delay = call.delay + self.apimart.settings.submit_delay
            idempotency_key, version = headers.get("Idempotency-Key"), headers.get("X-APIMart-Response-Version")
            submission = Submission(modality, key, call.body, idempotency_key, version, call.request_id, delay)
            reply = self.apimart.submit(submission)
            if delay and "Idempotency-Replayed" not in reply.headers:
                await asyncio.sleep(delay)
            return reply

        return submit

    def _status(self, route: PollRoute) -> Handler:
        async def status(call: Call, key: ApiKey) -> Reply:
            await asyncio.sleep(call.delay)
            language = call.request.query.get("language", "")
            return self.apimart.status(call.request.match_info["id"], key, route, language)

        return status

    async def _balance(self, call: Call, key: ApiKey) -> Reply:
        await asyncio.sleep(call.delay)
        return self.apimart.balance(key)

    async def _models(self, call: Call, key: ApiKey) -> Reply:
        await asyncio.sleep(call.delay)
        return self.apimart.models(key, call.request.query.get("expand", ""))

    async def _pricing(self, call: Call) -> Reply:
        await asyncio.sleep(call.delay)
        return self.apimart.pricing(call.request.query.get("model", ""))

    async def _marketplace(self, call: Call) -> Reply:
        await asyncio.sleep(call.delay)
        page, size = (_positive(call.request.query.get(name), default) for name, default in _PAGE.items())
        return self.apimart.marketplace(page, size)

    async def _model_schema(self, call: Call, _key: ApiKey) -> Reply:
        query = call.request.query
        return self.apimart.model_schema(query.get("model", ""), query.get("operation", ""))

    async def _model_docs(self, call: Call, _key: ApiKey) -> Reply:
        return self.apimart.model_docs(call.request.query.get("model", ""))

    async def _unknown(self, call: Call, _key: ApiKey) -> Reply:
        raise refusal("not_found", f"Invalid URL ({call.request.method} {call.request.path})")

    async def _file(self, call: Call) -> Reply:
        await asyncio.sleep(call.delay)
        found = self.files.find(unquote(call.request.match_info["name"]))
        if isinstance(found, Reply):
            return found
        try:
            content = await asyncio.to_thread(self.files.read, found)
        except MissingExtraError as error:
            return Reply(500, str(error).encode(), "text/plain")
        return ranged(call.request, Reply(200, content, found.content_type))

    async def _elsewhere(self, _call: Call) -> Reply:
        return Reply(200, b"You were redirected here.", "text/plain")


_NOTHING = ERRORS["server_error"]


_PAGE = {"page": 1, "page_size": 20}


def _positive(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and int(text) else default


def _delay(fault: Fault | None) -> float:
    return fault.seconds if fault and fault.kind == "delayed" else 0.0


def _payload(body: bytes) -> Any:
    try:
        return validation.read_object(body) if body else None
    except RefusedError:
        return None


def _retry_after(seconds: float, *, date: bool) -> str:
    """Return the value of ``Retry-After``; a date is by the real clock, since clients use that one."""
    whole = math.ceil(seconds)
    return http_date(time.time() + whole) if date else str(whole)
