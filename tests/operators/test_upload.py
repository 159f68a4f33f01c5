"""Upload operator against the sandbox, without a running Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.operators.upload import ApimartUploadImageOperator
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.bare import task_context
from tests.hooks.support import PICTURE
from tests.object_storage import attach_anew

SIGNATURE = "s3cr3tsignature"


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())


@pytest.mark.parametrize("form", [str, Path, Path.as_uri])
def test_an_image_is_uploaded_and_its_details_are_in_xcom(sandbox: Sandbox, tmp_path: Path, form: Any) -> None:
    (tmp_path / "fox.png").write_bytes(PICTURE)
    running = task_context()
    url = ApimartUploadImageOperator(task_id="upload", image=form(tmp_path / "fox.png")).execute(running)
    assert url.startswith(sandbox.base_url)
    assert running["ti"].pushed["upload"]["url"] == url


def test_a_signature_in_an_address_is_in_no_log_and_no_error(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    image = f"https://127.0.0.1:9/x.png?X-Amz-Signature={SIGNATURE}"
    with pytest.raises(errors.ApimartInvalidRequestError) as raised:
        ApimartUploadImageOperator(task_id="upload", image=image).execute(task_context())
    assert SIGNATURE not in str(raised.value)
    assert SIGNATURE not in capsys.readouterr().out + caplog.text


def test_a_signature_of_an_uploaded_file_is_not_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    attach_anew("memory", fsspec.filesystem("memory"))
    address = f"memory://bucket/fox.png?X-Amz-Signature={SIGNATURE}"
    path = ObjectStoragePath(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURE)
    ApimartUploadImageOperator(task_id="upload", image=address).execute(task_context())
    logged = capsys.readouterr().out + caplog.text
    assert "memory://bucket/fox.png?***" in logged
    assert SIGNATURE not in logged
