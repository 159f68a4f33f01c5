"""
Preloaded by the process from which tries are forked: a batch of one item, so that no fork imports what a try needs.

The first try of a process takes 1.5 s of a processor, the second one 0.07 s.
"""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.batch.bare import attempt

_FOR_S3 = ("boto3", "s3fs", "airflow.providers.amazon.aws.fs.s3", "airflow.providers.amazon.aws.hooks.s3")


def warm_up() -> None:
    """Do one batch, on this machine's disk."""
    with tempfile.TemporaryDirectory() as folder, Sandbox(SandboxSettings(seconds=0.1)) as sandbox:
        os.environ["AIRFLOW_CONN_APIMART_DEFAULT"] = sandbox.connection_json()
        requests = [{"id": "item", "prompt": "a cat", "model": "gemini-2.5-flash-image-preview"}]
        for deferrable in (False, True):
            destination = Path(folder, str(deferrable)).as_uri()
            arguments = {"requests": requests, "destination": destination, "deferrable": deferrable}
            attempt(arguments, try_number=1, max_tries=0)
        del os.environ["AIRFLOW_CONN_APIMART_DEFAULT"]
    for name in _FOR_S3:
        import_module(name)


warm_up()
