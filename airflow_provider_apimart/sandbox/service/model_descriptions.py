"""Descriptions of models: the list, the input schema, the Markdown page, and the check of parameter names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_apimart.sandbox.service.models import Model
from airflow_provider_apimart.sandbox.service.music import FIELDS
from airflow_provider_apimart.sandbox.service.replies import refusal

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_REQUEST: Schema = {"metadata": {"type": "object"}, "webhook": _TEXT}
_PICTURE: Schema = {"negative_prompt": _TEXT, "seed": _INTEGER, "image_with_roles": _OBJECTS, **_REQUEST}
_OTHERS: Mapping[str, Schema] = {
    "image": {"quality": _TEXT, "mask_url": _TEXT, **_PICTURE},
    "video": {
        "return_last_frame": {"type": "boolean"},
        "video_urls": {"type": "array", "items": _TEXT},
        "audio_urls": {"type": "array", "items": _TEXT},
        **_PICTURE,
    },
    "music": _REQUEST,
}


def model_list(models: Iterable[Model], *, expand: bool) -> Schema:
    """
    Return a list of models in the format of OpenAI's API.

    :param expand: whether each model's category and parameters are included
    """
    return {"object": "list", "data": [_listed(model, expand=expand) for model in models], "success": True}


def _listed(model: Model, *, expand: bool) -> Schema:
    listed: Schema = {"id": model.name, "object": "model", "created": 1626777600, "owned_by": "apimart"}
    if not expand:
        return listed
    operation = f"{model.modality}_generation"
    parameters = {"operation": operation, "endpoint": model.endpoint, "input_schema": input_schema(model)}
    return {
        **listed,
        "category": model.category,
        "capability_tags": [operation],
        "supported_endpoint_types": [operation],
        "parameters": parameters,
    }


def model_schema(model: Model) -> Schema:
    """Return the input schema of a model, including headers."""
    return {
        "success": True,
        "data": {
            "model": model.name,
            "operation": f"{model.modality}_generation",
            "endpoint": model.endpoint,
            "headers": {"Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 191}},
            "input_schema": input_schema(model),
        },
    }


def input_schema(model: Model) -> Schema:
    """Return the JSON schema of a model's requests."""
    required = ["model", "prompt"] if model.prompt_required else ["model", "image_urls"]
    return {"type": "object", "required": required, "properties": properties(model)}


def properties(model: Model) -> Schema:
    """Return the JSON schema of each parameter of a model, by name."""
    described: Schema = {"model": {"type": "string", "const": model.name}, **_media_properties(model)}
    described |= {name: dict(schema) for name, schema in model.extras.items()}
    return {**described, **{name: schema for name, schema in _OTHERS[model.modality].items() if name not in described}}


def _media_properties(model: Model) -> Schema:
    if model.modality == "music":
        return {name: dict(schema) for name, schema in FIELDS.get(model.name, {}).items()}
    described: Schema = {
        "prompt": _TEXT,
        "n": {"type": "integer", "minimum": 1, "maximum": model.max_n, "default": 1},
        "image_urls": {"type": "array", "items": _TEXT, "maxItems": model.max_references},
    }
    if model.sizes:
        described["size"] = described["aspect_ratio"] = {"type": "string", "enum": list(model.sizes)}
    if model.resolutions:
        described["resolution"] = {"type": "string", "enum": list(model.resolutions)}
    if model.durations:
        described["duration"] = {"type": "integer", "enum": sorted(model.durations)}
    return described


def check_known(model: Model, payload: Mapping[str, Any]) -> None:
    """Refuse a request with a parameter that the model's description doesn't have."""
    if unknown := sorted(set(payload) - set(properties(model))):
        raise refusal("invalid_request", f"unknown parameter: {', '.join(unknown)}")


def model_document(model: Model) -> str:
    """Return the documentation of a model as Markdown."""
    unit = {"image": "image", "video": "second of video", "music": "call"}[model.modality]
    lines = [f"# {model.name}", "", f"US$ {model.price} per {unit}.", "", "| field | schema |", "|---|---|"]
    lines += [f"| `{name}` | `{schema}` |" for name, schema in properties(model).items()]
    return "\n".join(lines) + "\n"
