"""Description of this provider for Airflow. Every Airflow process imports it, so it imports nothing itself."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "APIMart"
_PACKAGE = "airflow_provider_apimart"

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    # The port can be part of the base URL, but Airflow 3.3.1 and 3.3.2 test no connection that has none of its own.
    "hidden-fields": ["schema", "login"],
    "relabeling": {"password": "API Key", "host": "Base URL", "port": "Port"},
    "placeholders": {
        "password": "sk-...",
        "host": "https://api.apimart.ai",
        "port": "443",
        "extra": '{"timeout": 45, "upload_timeout": 120, "verify": true, "proxy": null, "headers": {}}',
    },
}

CONNECTION_FIELDS: dict[str, Any] = {
    "timeout": {
        "label": "Timeout",
        "description": "Timeout of a reply in seconds. Empty: 15 for reads, 45 for submits.",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "upload_timeout": {
        "label": "Upload timeout",
        "description": "Timeout of an upload in seconds. Empty: 120.",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "verify": {
        "label": "Verify certificates",
        "description": "true (also when empty), false, or the path of a file of certificate authorities.",
        "schema": {"type": ["string", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "Proxy for all calls, such as http://proxy:3128. Empty: as the environment says.",
        "schema": {"type": ["string", "null"]},
    },
    "headers": {
        "label": "Headers",
        "description": "Sent along with every call to the API: one a line, such as X-Team: media.",
        # Airflow's JSON editor for objects rewrites the text while it is typed.
        "schema": {"type": ["array", "null"], "items": {"type": "string"}},
    },
}


CONNECTION_TYPE: dict[str, Any] = {
    "connection-type": "apimart",
    "hook-class-name": f"{_PACKAGE}.hooks.apimart.ApimartHook",
    "hook-name": "APIMart",
    "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
    "conn-fields": CONNECTION_FIELDS,
}

CONFIG: dict[str, Any] = {
    "apimart": {
        "description": "Options of the APIMart provider.",
        "options": {
            "ledger_path": {
                "description": "Directory, or URI of Airflow's object storage, in which batches without a "
                "destination keep their ledgers, below Airflow 3.3 the records of single generations are, and tasks "
                "write what the pages of APIMart show. Workers and API servers must reach it. Empty: apimart in "
                "Airflow's home directory.",
                "version_added": "1.0.0",
                "type": "string",
                "example": "s3://aws_default@bucket/apimart",
                "default": "",
            },
            "library_path": {
                "description": "Directory, or URI of Airflow's object storage, of the library of results, which knows "
                "what was generated and saved: operators with reuse_within reuse it instead of paying again. Every "
                "worker must reach it. Empty: there is no library.",
                "version_added": "2.0.0",
                "type": "string",
                "example": "s3://aws_default@bucket/apimart-library",
                "default": "",
            },
        },
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the description of this provider that Airflow's providers manager reads."""
    return {
        "package-name": "airflow-provider-apimart",
        "name": "APIMart",
        # The page of providers shows links as they are written, up to the next space.
        "description": "Image, video and music generations of dozens of models. One task instance is one paid "
        "generation, and nothing paid is lost. `APIMart <https://apimart.ai/>`__",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.apimart.ai/",
                "tags": ["ai", "image-generation", "video-generation", "music-generation"],
            }
        ],
        "hooks": [_modules("hooks.apimart")],
        "operators": [_modules("operators.upload", "operators.generation", "operators.batch", "operators.quote")],
        "sensors": [_modules("sensors.generation", "sensors.balance")],
        "triggers": [_modules("triggers.generation", "triggers.batch")],
        "transfers": [
            {
                "source-integration-name": _INTEGRATION,
                "target-integration-name": "Common IO",
                "python-module": f"{_PACKAGE}.transfers.apimart_to_object_storage",
            }
        ],
        "connection-types": [CONNECTION_TYPE],
        "config": CONFIG,
        # Airflow 3.2+; older versions ignore it.
        "cli": [f"{_PACKAGE}.cli.definition.get_apimart_cli_commands"],
        "extra-links": [
            f"{_PACKAGE}.links.generation.ApimartGenerationLink",
            f"{_PACKAGE}.links.gallery.ApimartGalleryLink",
        ],
    }


def _modules(*modules: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{module}" for module in modules]}
