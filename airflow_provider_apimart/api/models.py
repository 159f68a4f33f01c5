"""
Descriptions of models: ids, modalities, parameters and limits.

A description is a help, not a contract: APIMart accepts models and parameters that it doesn't list. Whatever cannot be
read of it is left out, so that it restricts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.error_mapping import find_error_reply, free_call_error
from airflow_provider_apimart.api.flow import Flow, ask
from airflow_provider_apimart.api.http_messages import Reply, Request, RequestKind
from airflow_provider_apimart.api.json_values import JsonObject, items, mapping, number, plain, text

_CATEGORIES: Mapping[str, Modality] = {
    "image": Modality.IMAGE,
    "video": Modality.VIDEO,
    "audio": Modality.MUSIC,
    "music": Modality.MUSIC,
}
# Routes, operations and tags: /v1/images/generations, image_generation, text-to-image.
_OPERATION = re.compile(
    r"(?:v1_)?(image|video|music|audio)s?_(?:generation|edit)s?|[a-z]+_to_(image|video|music|audio)"
)
_SCALARS = (str, int, float, bool)


@dataclass(frozen=True)
class AllowedValues:
    """
    Values that a description allows. What is ``None`` isn't limited.

    :param enum: The allowed values.
    :param minimum: The smallest allowed number.
    :param maximum: The largest allowed number.
    :param max_items: The largest allowed length of a list.
    """

    enum: tuple[str | int | float | bool, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class Parameter:
    """
    A parameter that a model takes.

    :param type: Its JSON type, such as ``"integer"``, where the description names one.
    :param alternatives: A value is allowed if one of these allows it.
    """

    name: str
    type: str | None = None
    alternatives: tuple[AllowedValues, ...] = (AllowedValues(),)


@dataclass(frozen=True)
class ModelDescription:
    """
    What APIMart says about one model.

    :param id: The id that requests name as ``model``.
    :param category: APIMart's category, such as ``"image"``, ``"video"``, ``"audio"`` or ``"chat"``.
    :param modalities: What the model makes, empty where it is unknown.
    :param endpoint: The route that takes its requests.
    :param operation: What the requests make whose parameters are described; ``None`` where it is unknown.
    :param parameters: The described parameters by name.
    :param takes_others: Whether the model takes parameters that aren't described; ``None`` where it is unknown.
    """

    id: str
    category: str | None = None
    modalities: frozenset[Modality] = frozenset()
    endpoint: str | None = None
    operation: Modality | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    takes_others: bool | None = None

    @property
    def is_complete(self) -> bool:
        """
        Whether the description looks as if it had all parameters.

        It does if it says so, or has ``model``, which every request has. A list of a few parameters with their values
        leaves that out.
        """
        return self.takes_others is False or (self.takes_others is None and "model" in self.parameters)

    def to_json(self) -> dict[str, Any]:
        """Return the description as plain JSON."""
        parameters = {name: _parameter_to_json(each) for name, each in self.parameters.items()}
        return {
            "id": self.id,
            "category": self.category,
            "modalities": sorted(self.modalities),
            "endpoint": self.endpoint,
            "parameters": parameters,
        }


def _parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    allowed = [_allowed_to_json(each) for each in parameter.alternatives if each != AllowedValues()]
    alternatives = allowed[0] if len(allowed) == 1 else {"any_of": allowed} if allowed else {}
    return {"type": parameter.type, **alternatives}


def _allowed_to_json(allowed: AllowedValues) -> dict[str, Any]:
    named = {
        "enum": allowed.enum,
        "minimum": allowed.minimum,
        "maximum": allowed.maximum,
        "max_items": allowed.max_items,
    }
    return {name: plain(value) for name, value in named.items() if value is not None}


def list_models() -> Flow[tuple[ModelDescription, ...]]:
    """
    Read the models that the API key may use, with their parameters. It costs nothing.

    :return: One description a model and operation, in APIMart's order. Empty if the key may use no model.
    :raises ApimartError: If they couldn't be read.
    """
    path = f"{contract.MODELS_PATH}?expand=parameters"
    return _read_models((yield from ask(Request("GET", path, kind=RequestKind.CATALOGUE))))


def _read_models(reply: Reply) -> tuple[ModelDescription, ...]:
    if error_reply := find_error_reply(reply):
        raise free_call_error(error_reply)
    body = mapping(reply.json)
    # An empty list of some servers is null.
    listed = items(body.get("data"))
    models = tuple(filter(None, map(_read_model, listed)))
    if "data" not in body or (listed and not models):
        raise errors.ApimartServerError("The reply holds no list of models", status=reply.status)
    return models


def _read_model(entry: object) -> ModelDescription | None:
    listed = mapping(entry)
    model_id = text(listed.get("id"))
    if model_id is None:
        return None
    parameters = mapping(listed.get("parameters"))
    schema = mapping(parameters.get("input_schema"))
    endpoint = text(parameters.get("endpoint")) or text(mapping(parameters.get("endpoint")).get("path"))
    category = text(listed.get("category"))
    operation = _made_by(endpoint) or _made_by(parameters.get("operation"))
    return ModelDescription(
        id=model_id,
        category=category,
        modalities=frozenset(filter(None, [operation, _CATEGORIES.get((category or "").lower()), *_tagged(listed)])),
        endpoint=endpoint,
        operation=operation,
        parameters=dict(_read_parameters(mapping(schema.get("properties")))),
        takes_others=_takes_others(schema),
    )


def _tagged(listed: JsonObject) -> Iterator[Modality | None]:
    for name in ("capability_tags", "supported_endpoint_types"):
        yield from map(_made_by, items(listed.get(name)))


def _made_by(operation: object) -> Modality | None:
    """Return what an operation makes, by its name or its route."""
    words = re.sub(r"[^a-z0-9]+", "_", operation.lower()).strip("_") if isinstance(operation, str) else ""
    found = _OPERATION.fullmatch(words)
    return _CATEGORIES[found[1] or found[2]] if found else None


def _takes_others(schema: JsonObject) -> bool | None:
    others = schema.get("additionalProperties")
    return None if others is None else others is not False


def _read_parameters(properties: JsonObject) -> Iterator[tuple[str, Parameter]]:
    for name, written in properties.items():
        schema = mapping(written)
        yield name, Parameter(name, _type(schema), tuple(_alternatives(schema)))


def _type(schema: JsonObject) -> str | None:
    return text(schema.get("type")) if isinstance(schema.get("type"), str) else None


def _alternatives(schema: JsonObject) -> Iterator[AllowedValues]:
    branches = [*items(schema.get("anyOf")), *items(schema.get("oneOf"))]
    for branch in branches or [{}]:
        both = {**schema, **mapping(branch)}
        # Whatever is null is left out of a request.
        if both.get("type") != "null" or not branches:
            yield _allowed(both)


def _allowed(schema: JsonObject) -> AllowedValues:
    minimum, maximum = _number(schema.get("minimum")), _number(schema.get("maximum"))
    if minimum is not None and maximum is not None and minimum > maximum:
        minimum = maximum = None
    length = _number(schema.get("maxItems"))
    return AllowedValues(_enum(schema), minimum, maximum, None if length is None or length < 0 else int(length))


def _number(value: object) -> float | None:
    found = None if isinstance(value, str) else number(value)
    return int(found) if found is not None and found.is_integer() else found


def _enum(schema: JsonObject) -> tuple[str | int | float | bool, ...] | None:
    written = schema.get("enum", [schema["const"]] if "const" in schema else None)
    options = [plain(each) for each in written if each is not None] if isinstance(written, list) else []
    return tuple(options) if options and all(isinstance(each, _SCALARS) for each in options) else None
