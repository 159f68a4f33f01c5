"""The service without I/O: authentication, submits, status, balance and models. Every method returns a reply."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from airflow_provider_apimart.sandbox.service import dialects
from airflow_provider_apimart.sandbox.service.billing import Billing
from airflow_provider_apimart.sandbox.service.clock import Clock
from airflow_provider_apimart.sandbox.service.directives import Directive, read_directive
from airflow_provider_apimart.sandbox.service.generations import Generation, GenerationView
from airflow_provider_apimart.sandbox.service.idempotency import IdempotencyRecords, Scope, check_key
from airflow_provider_apimart.sandbox.service.model_descriptions import (
    check_known,
    model_document,
    model_list,
    model_schema,
)
from airflow_provider_apimart.sandbox.service.models import MODELS, Modality, Model, any_model
from airflow_provider_apimart.sandbox.service.music import audio_format, text_of, track_seconds
from airflow_provider_apimart.sandbox.service.outputs import Kind, output_name, output_names
from airflow_provider_apimart.sandbox.service.price_replies import marketplace, price_list
from airflow_provider_apimart.sandbox.service.rate_limit import TokenBucket
from airflow_provider_apimart.sandbox.service.replies import ERRORS, Reply, json_reply, refusal
from airflow_provider_apimart.sandbox.service.settings import ApiKey, SandboxSettings
from airflow_provider_apimart.sandbox.service.validation import check_request, check_types, read_object, reference_urls

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Submission:
    """
    A submit request.

    :param body: its body, which idempotency compares
    :param idempotency_key: the header ``Idempotency-Key``, if sent
    :param version: the header ``X-APIMart-Response-Version``, if sent
    :param delay: seconds by which the reply is delayed, during which the key is in progress
    """

    modality: Modality
    key: ApiKey
    body: bytes
    idempotency_key: str | None
    version: str | None
    request_id: str
    delay: float


class Apimart:
    """
    The service: its decisions and its state.

    :param settings: its behaviour; may be replaced at any time by :meth:`apply`
    :param clock: its clock
    :param files_url: base of the public URLs in its replies

    ``is_missing`` returns whether a reference image can't be fetched; a generation that needs it fails.
    """

    def __init__(self, settings: SandboxSettings, clock: Clock, files_url: str) -> None:
        self.clock = clock
        self.files_url = files_url
        self.billing = Billing(settings.keys, clock.now)
        self.idempotency = IdempotencyRecords(clock.now)
        self._keys = {key.key: key for key in settings.keys}
        self._random = Random(settings.seed)
        self.failed_once: set[bytes] = set()
        self.is_missing: Callable[[str], bool] = lambda _url: False
        self.settings = settings
        self.apply(settings)

    def apply(self, settings: SandboxSettings) -> None:
        """Apply other settings; a changed balance becomes the balance of ``api_key``."""
        if settings.balance != self.settings.balance:
            self.billing.account(settings.api_key).balance = settings.balance
        self.settings = settings
        self._buckets = {
            route: TokenBucket(rate, self.clock.now)
            for route, rate in (("any", settings.rate_limit), ("submit", settings.submit_rate_limit))
            if rate is not None
        }

    def replace_api_key(self, new: str) -> None:
        """Give the account of ``api_key`` another one; the old one is refused from now on."""
        old = self.settings.api_key
        self._keys[new] = replace(self._keys.pop(old), key=new)
        self.billing.rename_account(old, new)
        self.settings = replace(self.settings, api_key=new)

    def authenticate(self, authorization: str | None) -> ApiKey:
        """Return the API key of a request; raises :class:`.RefusedError` for a wrong one."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme != "Bearer" or key not in self._keys:
            raise refusal("unauthorized")
        return self._keys[key]

    def admit(self, route: str) -> None:
        """Count a request against the rate limits; raises :class:`.RefusedError` above them."""
        for limited in ("any", route):
            wait = self._buckets[limited].take() if limited in self._buckets else 0.0
            if wait:
                raise refusal("rate_limited", retry_after=wait)

    def submit(self, submission: Submission) -> Reply:
        """Accept a generation, or return the first reply to the same request; raises :class:`.RefusedError`."""
        scope = self._scope(submission)
        if scope and (replayed := self.idempotency.replay(scope, submission.body)):
            return replayed
        generation = self._accept(submission)
        reply = self._submitted(generation, submission.version)
        if scope:
            retention = self.settings.idempotency_retention
            self.idempotency.keep(scope, submission.body, reply, delay=submission.delay, retention=retention)
        return reply

    def _scope(self, submission: Submission) -> Scope | None:
        if submission.idempotency_key is None or self.settings.ignore_idempotency:
            return None
        check_key(submission.idempotency_key)
        return Scope(submission.key.key, submission.modality, submission.idempotency_key)

    def _accept(self, submission: Submission) -> Generation:
        payload = read_object(submission.body)
        if submission.modality != "music":
            check_types(payload)
        model = self._model(submission, payload)
        if self.settings.strict:
            check_known(model, payload)
        check_request(model, payload)
        directive = read_directive(payload)
        if directive.refuse:
            raise refusal(directive.refuse if directive.refuse in ERRORS else "build_request_failed")
        generation = self._generation(submission, payload, model, directive)
        self.billing.accept(generation)
        return generation

    def _model(self, submission: Submission, payload: Mapping[str, Any]) -> Model:
        name = payload.get("model")
        if not name:
            raise refusal("model_required")
        allowed = submission.key.models
        if allowed is not None and name not in allowed:
            raise refusal("forbidden")
        model = MODELS.get(name) or (any_model(name, submission.modality) if self.settings.any_model else None)
        if model is None:
            raise refusal("model_not_found", f"model not found: {name}")
        if model.modality != submission.modality:
            raise refusal("invalid_request", f"model {name} does not support {submission.modality}_generation")
        return model

    def _generation(
        self, submission: Submission, payload: Mapping[str, Any], model: Model, directive: Directive
    ) -> Generation:
        asked = model.outputs(payload)
        outputs = self._outputs(asked, directive)
        factor = self.settings.price_factor * self.settings.account_ratio
        return Generation(
            generation_id=_task_id(self.clock.now()),
            modality=model.modality,
            model=model.name,
            payload=MappingProxyType(payload),
            api_key=submission.key.key,
            idempotency_key=submission.idempotency_key,
            request_id=submission.request_id,
            created=self.clock.now(),
            seconds=self._seconds(model, directive),
            failure=self._unreachable(payload) or self._failure(submission.body, directive),
            reserved=model.reservation(payload) * factor,
            price=model.cost(payload, outputs) * factor,
            outputs=outputs,
        )

    def _outputs(self, asked: int, directive: Directive) -> int:
        """Return how many of the outputs asked for are delivered."""
        limits = (asked, self.settings.max_outputs, directive.outputs, asked - 1 if directive.short else None)
        return min(limit for limit in limits if limit is not None)

    def _seconds(self, model: Model, directive: Directive) -> float:
        """Return a random run time; one number is drawn even for fixed times, so that these don't change others."""
        chance = 1 + self.settings.jitter * (2 * self._random.random() - 1)
        if dialects.dialect(self.settings.dialect_of(model.name)).submit == "S5":
            return 0.0
        if directive.seconds is not None:
            return directive.seconds
        multiple = 1.0 if model.modality == "image" else self.settings.video_multiple
        return self.settings.seconds * multiple * directive.slower * chance

    def _unreachable(self, payload: Mapping[str, Any]) -> str | None:
        missing = [url for url in reference_urls(payload) if self.is_missing(str(url))]
        return f"failed to download image: {missing[0]}" if missing else None

    def _failure(self, body: bytes, directive: Directive) -> str | None:
        digest = hashlib.sha256(body).digest()
        if directive.once and digest in self.failed_once:
            return None
        if directive.once:
            self.failed_once.add(digest)
        return directive.fail

    def _submitted(self, generation: Generation, version: str | None) -> Reply:
        dialect = self._dialect(generation.model)
        shape = dialect.versioned if version == dialects.VERSION else dialect.submit
        status, body = dialects.SUBMIT_SHAPES[shape]
        return json_reply(body(self._task(generation)), status)

    def _dialect(self, model: str) -> dialects.Dialect:
        return dialects.dialect(self.settings.dialect_of(model))

    def status(self, generation_id: str, key: ApiKey, route: dialects.PollRoute, language: str) -> Reply:
        """
        Return the status of a generation.

        :param route: the polling route of the request, which the dialect may not have
        :param language: language of messages; the music route is Chinese by default
        """
        generation = self.billing.find(generation_id)
        dialect = self._dialect(generation.model if generation else "")
        if route != "music" and dialect.poll_route not in (route, "both"):
            raise refusal("not_found")
        if generation is None or generation.api_key != key.key or not self._listed(generation, route):
            raise self._unknown_task(generation_id, route)
        task = self._task(generation)
        if task.failure and route == "music" and language != "en":
            task = replace(task, failure=f"生成失败: {task.failure}")
        return json_reply(dialects.STATUS_SHAPES[dialect.status](task))

    def _listed(self, generation: Generation, route: dialects.PollRoute) -> bool:
        """Return whether a route has a generation: music has its own, and young and old generations are in none."""
        now = self.clock.now()
        young = now < generation.created + self.settings.task_visible_after
        old = now > generation.completed + self.settings.task_retention
        return (route == "music") == (generation.modality == "music") and not young and not old

    def _unknown_task(self, generation_id: str, route: dialects.PollRoute) -> Exception:
        if self.settings.unknown_task_status != 404:
            return refusal("invalid_task_id")
        name = "music_task_not_found" if route == "music" else "task_not_found"
        return refusal(name, f"task not found: {generation_id}")

    def _task(self, generation: Generation) -> dialects.Task:
        now = self.clock.now()
        stage = generation.stage(now)
        completed = generation.completed if generation.finished(now) else 0
        return dialects.Task(
            generation_id=generation.generation_id,
            request_id=generation.request_id,
            modality=generation.modality,
            model=generation.model,
            prompt=text_of(generation.payload),
            stage=stage,
            progress=generation.progress(now),
            created=int(generation.created),
            completed=int(completed),
            cost=generation.charge(now),
            failure=generation.failure if stage == "failed" else None,
            urls=self.urls(generation),
            tracks=self._tracks(generation),
            last_frame_url=self._last_frame(generation),
            expires_at=int(completed + self.settings.result_lifetime),
            words=self.settings.status_words,
            error_form=self.settings.error_form,
        )

    def _tracks(self, generation: Generation) -> tuple[dialects.Track, ...]:
        if generation.modality != "music" or generation.stage(self.clock.now()) != "completed":
            return ()
        return tuple(self._track(generation, index) for index in range(generation.outputs))

    def _track(self, generation: Generation, index: int) -> dialects.Track:
        payload, generation_id = generation.payload, generation.generation_id

        def url(kind: Kind) -> str:
            return self.public_url("music", output_name(generation_id, kind, index))

        return dialects.Track(
            track_id=str(uuid5(NAMESPACE_OID, f"{generation_id}/{index}")),
            title=str(payload.get("title") or text_of(payload)[:80]),
            lyrics=str(payload.get("lyrics") or ""),
            seconds=track_seconds(payload),
            audio_url=url(audio_format(payload)),
            wav_url=url("wav"),
            image_url=url("cover"),
            image_large_url=url("cover-large"),
        )

    def _last_frame(self, generation: Generation) -> str | None:
        if generation.modality != "video" or not generation.payload.get("return_last_frame"):
            return None
        return self.public_url("image", output_name(generation.generation_id, "frame", 0))

    def urls(self, generation: Generation) -> tuple[str, ...]:
        """Return the public URLs of a generation's outputs; none before it has completed."""
        if generation.stage(self.clock.now()) != "completed":
            return ()
        names = output_names(generation, self._dialect(generation.model).status)
        return tuple(self.public_url(generation.modality, name) for name in names)

    def public_url(self, folder: str, name: str) -> str:
        """Return the public URL of a file."""
        return f"{self.files_url}/f/{folder}/{name}"

    def view(self, generation: Generation) -> GenerationView:
        """Return the present state of a generation."""
        now = self.clock.now()
        stage = generation.stage(now)
        return GenerationView(
            generation_id=generation.generation_id,
            modality=generation.modality,
            model=generation.model,
            payload=generation.payload,
            api_key=generation.api_key,
            idempotency_key=generation.idempotency_key,
            status=stage,
            progress=generation.progress(now),
            cost=generation.charge(now),
            refunded=stage == "failed",
            failure=generation.failure if stage == "failed" else None,
            created=generation.created,
            completed=generation.completed if generation.finished(now) else None,
            urls=self.urls(generation),
        )

    def balance(self, key: ApiKey) -> Reply:
        """Return the balance; a credit is a tenth of a dollar."""
        account = self.billing.account(key.key)
        left = -1.0 if account.balance is None else float(account.balance)
        body = {
            "success": True,
            "remain_balance": left,
            "used_balance": float(account.used),
            "unlimited_quota": account.balance is None,
            "remain_credits": left if account.balance is None else left * 10,
            "used_credits": float(account.used) * 10,
        }
        return json_reply(body)

    def pricing(self, name: str) -> Reply:
        """Return the public prices of a model."""
        model = MODELS.get(name)
        if model is None:
            return json_reply({"success": False, "message": f"model not found: {name}"})
        listed = price_list(model, self.settings.price_factor)
        return json_reply({"success": True, "data": {**listed, **self.settings.pricing_changes.get(name, {})}})

    def marketplace(self, page: int, page_size: int) -> Reply:
        """Return a page of the public catalogue."""
        return json_reply(marketplace(tuple(MODELS.values()), page, page_size, self.settings.price_factor))

    def models(self, key: ApiKey, expand: str) -> Reply:
        """List the models of a key; refused with an empty balance."""
        balance = self.billing.account(key.key).balance
        if balance is not None and balance <= 0:
            raise refusal("insufficient_balance")
        allowed = (model for name, model in MODELS.items() if key.models is None or name in key.models)
        return json_reply(model_list(allowed, expand=expand == "parameters"))

    def model_schema(self, name: str, operation: str) -> Reply:
        """Describe a model's input as a JSON schema."""
        model = MODELS.get(name)
        if model is None or operation not in ("", f"{model.modality}_generation"):
            raise refusal("model_not_found", f"model not found: {name}")
        return json_reply(model_schema(model))

    def model_docs(self, name: str) -> Reply:
        """Describe a model in Markdown."""
        if name not in MODELS:
            raise refusal("model_not_found", f"model not found: {name}")
        return Reply(200, model_document(MODELS[name]).encode(), "text/markdown")


def _task_id(now: float) -> str:
    """Return an id in the service's format: time and random bits in Crockford's base 32."""
    number = int(now * 1000) << 80 | secrets.randbits(80)
    return "task_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
