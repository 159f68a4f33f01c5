"""Findings: parameters and values of a request that contradict its model's description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.models import ModelDescription
from airflow_provider_apimart.checks.spelling import nearest_models, nearest_parameter, older_id_of
from airflow_provider_apimart.checks.values import allowed, allows

# Fields of APIMart's contract, which are no misspellings, whatever a description leaves out.
_CONTRACT_FIELDS = frozenset(
    {
        "model",
        "prompt",
        "n",
        "size",
        "resolution",
        "quality",
        "image_urls",
        "image_with_roles",
        "mask_url",
        "video_urls",
        "audio_urls",
        "duration",
        "aspect_ratio",
        "seed",
        "negative_prompt",
        # Of some models only.
        "mode",
        "sound",
        "speed",
        "version",
        "length",
    }
)
#: Fields that every request may have.
FIELDS_OF_ALL = frozenset({"model", "webhook", "metadata"})
_MOST_SHOWN = 100


@dataclass(frozen=True)
class Finding:
    """
    Something in a request that its model's description contradicts.

    :param message: What is wrong, as a clause.
    :param is_certain: Whether the description rules it out. Otherwise it is only unusual, and never refused.
    """

    message: str
    is_certain: bool = True


@dataclass(frozen=True)
class Models:
    """
    The descriptions of the models that an API key may use.

    :param listed: The descriptions. With none of them, nothing is found.
    """

    listed: Sequence[ModelDescription]

    @cached_property
    def _by_id(self) -> Mapping[str, Sequence[ModelDescription]]:
        by_id: dict[str, list[ModelDescription]] = {}
        for model in self.listed:
            by_id.setdefault(model.id, []).append(model)
        return by_id

    @cached_property
    def _ids(self) -> tuple[str, ...]:
        return tuple(self._by_id)

    @cached_property
    def _all_parameters(self) -> frozenset[str]:
        return frozenset(name for model in self.listed for name in model.parameters)

    def findings(self, modality: Modality, payload: Mapping[str, Any]) -> list[Finding]:
        """
        Return what a request has that its model's description contradicts.

        What isn't described is allowed: a model without parameters, a parameter without limits.

        :param payload: The body of the request; references may be files in it.
        """
        name = payload["model"]
        if not self.listed:
            return []
        if name not in self._by_id:
            return [self._unknown_model(name)]
        makes = [model for model in self._by_id[name] if _may_make(model, modality)]
        if not makes:
            return [_wrong_modality(name, self._by_id[name], modality)]
        # One model may be listed once for each of several operations.
        described = [model for model in makes if model.operation in (modality, None)]
        return min((list(self._in_parameters(model, payload)) for model in described), key=len, default=[])

    def _unknown_model(self, name: str) -> Finding:
        shown = f"{name!r:.{_MOST_SHOWN}}"
        if listed := older_id_of(name, self._ids):
            return Finding(
                f"Unlisted model {shown} ({listed!r} is listed; older ids may be accepted)", is_certain=False
            )
        similar = " or ".join(map(repr, nearest_models(name, self._ids)))
        hint = f"did you mean {similar}?" if similar else f"APIMart lists {len(self._by_id)} others for this API key"
        return Finding(f"Unknown model {shown} ({hint})")

    def _in_parameters(self, model: ModelDescription, payload: Mapping[str, Any]) -> Iterator[Finding]:
        for name, value in payload.items():
            parameter = model.parameters.get(name)
            if name == "model" or value is None:
                continue
            if parameter is None:
                yield from self._undescribed(model, name)
            elif not allows(parameter, value):
                yield Finding(f"Invalid {name} for {model.id}: {_shown(value)} (allowed: {allowed(parameter)})")

    def _undescribed(self, model: ModelDescription, name: str) -> Iterator[Finding]:
        near = None if name in _CONTRACT_FIELDS | FIELDS_OF_ALL else nearest_parameter(name, tuple(model.parameters))
        if near:
            is_a_word = model.takes_others is True or name in self._all_parameters
            yield Finding(f"Unknown parameter {name!r} for {model.id} (did you mean {near!r}?)", not is_a_word)
        elif model.is_complete and name not in FIELDS_OF_ALL:
            hint = "not in the model's description; it may be ignored"
            yield Finding(f"Unknown parameter {name!r:.{_MOST_SHOWN}} for {model.id} ({hint})", is_certain=False)


def _may_make(model: ModelDescription, modality: Modality) -> bool:
    if not model.modalities:
        return (model.category or "").lower() != "chat"
    return modality in model.modalities


def _wrong_modality(name: str, listed: Sequence[ModelDescription], modality: Modality) -> Finding:
    makes = sorted({str(each) for model in listed for each in model.modalities or [model.category]})
    return Finding(f"Wrong kind of model for {modality} generation: {name} (listed for {' and '.join(makes)})")


def _shown(value: object) -> str:
    return f"{len(value)} entries" if isinstance(value, list) else f"{value!r:.{_MOST_SHOWN}}"
