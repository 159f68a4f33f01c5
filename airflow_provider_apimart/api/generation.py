"""Values of a generation: its status, outputs and failure, whatever shape APIMart's reply had."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.json_values import JsonObject, items, mapping, moment, money, plain, text
from airflow_provider_apimart.api.rendered_values import is_nothing, rendered_value
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


class OutputKind(StrEnum):
    """Kind of an output."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    LAST_FRAME = "last_frame"
    AUDIO_WAV = "audio_wav"
    COVER = "cover"

    @property
    def is_companion(self) -> bool:
        """Whether it comes beside an output, without being one that was asked for: another format, a cover."""
        return self in (OutputKind.LAST_FRAME, OutputKind.AUDIO_WAV, OutputKind.COVER)


@dataclass(frozen=True)
class Output:
    """
    One file that a generation made.

    :param url: A public, temporary URL. It needs no API key and must never be sent one. Empty for an inline output:
        one whose content is in APIMart's reply itself.
    :param expires_at: Expiry of the URL; it can't be renewed. Where APIMart doesn't name it, 24 hours after the
        completion, or after the first read that found it completed.
    :param content: The file itself if the output is inline and was just read. It is never in XCom, ledgers, events or
        logs: to save the output later, the reply is read again.
    """

    url: str
    kind: OutputKind
    expires_at: datetime | None = None
    content: bytes | None = field(default=None, repr=False)

    @property
    def is_inline(self) -> bool:
        """Whether the content is in APIMart's reply instead of at a URL."""
        return not self.url

    @property
    def digest(self) -> str:
        """Hexadecimal digest that identifies the output if its generation has no id."""
        return hashlib.sha256(self.url.encode() if self.content is None else self.content).hexdigest()


@dataclass(frozen=True)
class Failure:
    """
    Reason of a failed generation, in APIMart's words.

    :param is_moderation: Whether moderation refused it, so that a retry can't help.
    """

    message: str
    code: str | None = None
    is_moderation: bool = False


@dataclass(frozen=True)
class Generation:
    """
    A submitted generation.

    :param generation_id: APIMart's id, ``None`` if the submit returned the result itself.
    :param status_word: APIMart's word for the status, in lower case.
    :param progress: Percent done. It may jump from 0 to 100.
    :param estimated_seconds: APIMart's estimate of the run time, which is coarse.
    :param key: The submitter's own name of it, such as a product number; ``None`` if it has none.
    :param prompt_sha256: Hexadecimal digits of the prompt's SHA-256, as its submitter knows it.
    :param requested: Number of requested outputs, as the submitter knows it; ``None`` if unknown.
    :param quote: The quote of its request from before the submit, as plain JSON, as its submitter knows it.
    :param reused: Id of the generation whose kept result this is, ``None`` for a generation of its own. A reused one
        costs nothing.
    :param cost: US dollars as charged.
    :param credits_cost: The same in APIMart's credits, ten for a dollar.
    :param result: Values of a completed result other than media, such as text or detected objects.
    :param failure: The reason if it failed.
    """

    generation_id: str | None
    status: GenerationStatus
    status_word: str
    modality: Modality | None = None
    model: str | None = None
    key: str | None = None
    prompt_sha256: str | None = None
    requested: int | None = None
    progress: float | None = None
    estimated_seconds: float | None = None
    outputs: tuple[Output, ...] = ()
    quote: JsonObject | None = None
    reused: str | None = None
    cost: Decimal | None = None
    credits_cost: Decimal | None = None
    usage: JsonObject | None = None
    created: datetime | None = None
    completed: datetime | None = None
    result: JsonObject = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def expires_at(self) -> datetime | None:
        """Expiry of the first output URL to expire."""
        return min((output.expires_at for output in self.outputs if output.expires_at), default=None)

    @property
    def urls(self) -> list[str]:
        """The URLs of all outputs that have one."""
        return [output.url for output in self.outputs if output.url]

    @property
    def url(self) -> str | None:
        """The URL of the first output that has one."""
        return next(iter(self.urls), None)

    @property
    def has_failed(self) -> bool:
        """Whether it failed, and is refunded."""
        return self.status is GenerationStatus.FAILED

    @property
    def is_incomplete(self) -> bool:
        """Whether it is completed without any output: APIMart may show the outputs moments later."""
        return self.status is GenerationStatus.COMPLETED and not self.outputs

    @property
    def missing_outputs(self) -> int:
        """Number of requested outputs that were not delivered; 0 if the result has no files."""
        delivered = sum(not output.kind.is_companion for output in self.outputs)
        without_files = not self.outputs and bool(self.result)
        return 0 if self.requested is None or without_files else max(0, self.requested - delivered)

    def known_as(
        self,
        *,
        modality: Modality | None = None,
        model: str | None = None,
        key: str | None = None,
        prompt_sha256: str | None = None,
        requested: int | None = None,
        quote: JsonObject | None = None,
    ) -> Generation:
        """Return the generation with facts that the submitter knows and a status reply doesn't have."""
        return replace(
            self,
            modality=self.modality or modality,
            model=self.model or model,
            key=self.key or key,
            prompt_sha256=self.prompt_sha256 or prompt_sha256,
            requested=self.requested if requested is None else requested,
            quote=self.quote or quote,
        )

    def to_xcom(self) -> dict[str, Any]:
        """Return the generation in its XCom form: plain JSON, ``None`` for values that APIMart did not report."""
        return {
            "generation_id": self.generation_id,
            "modality": self.modality and self.modality.value,
            "model": self.model,
            "key": self.key,
            "prompt_sha256": self.prompt_sha256,
            "requested": self.requested,
            "status": self.status.value if self.status.is_final else self.status_word,
            "url": self.url,
            "urls": self.urls,
            "outputs": [
                {"url": output.url or None, "kind": output.kind.value, "expires_at": plain(output.expires_at)}
                for output in self.outputs
            ],
            "expires_at": plain(self.expires_at),
            "quote": plain(self.quote),
            "reused": self.reused,
            "cost": plain(self.cost),
            "credits_cost": plain(self.credits_cost),
            "usage": plain(self.usage),
            "created": plain(self.created),
            "completed": plain(self.completed),
            "result": plain(self.result) or None,
        }


def generation_from_xcom(value: Mapping[str, Any]) -> Generation:
    """
    Return the generation that :meth:`Generation.to_xcom` wrote.

    :param value: The mapping from XCom; keys may be missing.
    """
    word = text(value.get("status")) or GenerationStatus.RUNNING.value
    modality = text(value.get("modality"))
    return Generation(
        generation_id=text(value.get("generation_id")),
        status=GenerationStatus.of(word),
        status_word=word.lower(),
        modality=Modality(modality) if modality in set(Modality) else None,
        model=text(value.get("model")),
        key=text(value.get("key")),
        prompt_sha256=text(value.get("prompt_sha256")),
        requested=_count(value.get("requested")),
        quote=mapping(value.get("quote")) or None,
        reused=text(value.get("reused")),
        outputs=tuple(_outputs_from_xcom(value)),
        cost=money(value.get("cost")),
        credits_cost=money(value.get("credits_cost")),
        usage=mapping(value.get("usage")) or None,
        created=moment(value.get("created")),
        completed=moment(value.get("completed")),
        result=mapping(value.get("result")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def named_generation(value: object) -> Generation:
    """
    Return the generation that a user names.

    :param value: Its id, or the mapping that a generation operator or a sensor returned, also as the text into which
        a template renders that mapping.
    :raises ApimartInvalidRequestError: If it names none.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        raise ApimartInvalidRequestError(
            "A list names no generation. What a mapped task returned is mapped on: .partial(...).expand(generation=...)"
        )
    found = (rendered_value(value) or _by_id(value)) if isinstance(value, str) else value
    named = generation_from_xcom(found) if isinstance(found, Mapping) else None
    if named is None or (named.generation_id is None and named.status is not GenerationStatus.COMPLETED):
        raise ApimartInvalidRequestError(
            f"{str(value)[:200]!r} names no generation; give its id, or what a generation operator returned"
        )
    return named


def _by_id(written: str) -> Mapping[str, Any] | None:
    """Return what a text names as a generation's id, ``None`` for a missing value or a broken object or list."""
    return None if is_nothing(written) or written.strip().startswith(("{", "[")) else {"generation_id": written}


def _outputs_from_xcom(value: Mapping[str, Any]) -> Iterator[Output]:
    for item in items(value.get("outputs")):
        output = mapping(item)
        url, kind = text(output.get("url")), text(output.get("kind"))
        if url or kind:
            known = OutputKind(kind) if kind in set(OutputKind) else OutputKind.IMAGE
            yield Output(url or "", known, moment(output.get("expires_at")))
