"""A client that knows nothing but HTTP, and pictures to upload."""

from __future__ import annotations

import io
import json
from typing import Any

import requests
from PIL import Image

from airflow_provider_apimart.sandbox import Sandbox

IMAGE_MODEL = "gemini-3-pro-image-preview"
VIDEO_MODEL = "kling-v2-6"


class Client:
    """Speaks to a sandbox over real HTTP, without retries."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {sandbox.api_key}"

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a GET to the API."""
        return self.session.get(self.sandbox.base_url + path, timeout=10, **options)

    def submit(
        self, *, kind: str = "images", key: str | None = None, headers: dict[str, str] | None = None, **body: Any
    ) -> requests.Response:
        """Submit a generation; ``None`` leaves a field out."""
        model = IMAGE_MODEL if kind == "images" else VIDEO_MODEL
        payload = {"model": model, "prompt": "a fox", **body}
        sent = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {}), **(headers or {})}
        text = json.dumps({name: value for name, value in payload.items() if value is not None})
        url = f"{self.sandbox.base_url}/v1/{kind}/generations"
        return self.session.post(url, data=text, headers=sent, timeout=10, allow_redirects=False)

    def task_id(self, **body: Any) -> str:
        """Submit a generation in the current dialect; return its id."""
        return str(self.submit(**body).json()["data"][0]["task_id"])

    def finished(self, **body: Any) -> dict[str, Any]:
        """Submit a generation, let the time pass, return its data."""
        task_id = self.task_id(**body)
        self.sandbox.complete_all()
        data: dict[str, Any] = self.get(f"/v1/tasks/{task_id}").json()["data"]
        return data

    def upload(self, content: bytes, name: str = "photo.jpg") -> requests.Response:
        """Upload an image."""
        url = f"{self.sandbox.base_url}/v1/uploads/images"
        return self.session.post(url, files={"file": (name, content)}, timeout=10)


def picture(colour: str, image_format: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    """Draw an image file of one colour."""
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, image_format)
    return written.getvalue()


def fetch(url: str, **headers: str) -> requests.Response:
    """Fetch a public file without a key."""
    return requests.get(url, headers=headers, timeout=20)
