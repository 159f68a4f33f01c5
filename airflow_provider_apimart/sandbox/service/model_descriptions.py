"""Descriptions of models: the list, the input schema, and the Markdown page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_apimart.sandbox.service.models import Model


def model_list(names: Iterable[str]) -> dict[str, Any]:
    """Return a list of models in the format of OpenAI's API."""
    models = [{"id": name, "object": "model", "created": 1626777600, "owned_by": "apimart"} for name in names]
    return {"object": "list", "data": models, "success": True}


def model_schema(model: Model) -> dict[str, Any]:
    """Return the input schema of a model, including headers."""
    required = ["model", "prompt"] if model.prompt_required else ["model", "image_urls"]
    return {
        "success": True,
        "data": {
            "model": model.name,
            "operation": f"{model.modality}_generation",
            "endpoint": f"/v1/{model.modality}s/generations",
            "headers": {"Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 191}},
            "input_schema": {"type": "object", "required": required, "properties": _properties(model)},
        },
    }


def _properties(model: Model) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "model": {"type": "string", "const": model.name},
        "prompt": {"type": "string"},
        "n": {"type": "integer", "minimum": 1, "maximum": model.max_n, "default": 1},
        "image_urls": {"type": "array", "items": {"type": "string"}, "maxItems": model.max_references},
    }
    if model.sizes:
        properties["size"] = {"type": "string", "enum": list(model.sizes)}
    if model.resolutions:
        properties["resolution"] = {"type": "string", "enum": list(model.resolutions)}
    if model.durations:
        properties["duration"] = {"type": "integer", "enum": sorted(model.durations)}
    return properties


def model_document(model: Model) -> str:
    """Return the documentation of a model as Markdown."""
    unit = "second of video" if model.modality == "video" else "image"
    lines = [f"# {model.name}", "", f"US$ {model.price} per {unit}.", "", "| field | schema |", "|---|---|"]
    lines += [f"| `{name}` | `{schema}` |" for name, schema in _properties(model).items()]
    return "\n".join(lines) + "\n"
