"""The page of the sandbox refreshes itself in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGE = {"model": "gemini-3-pro-image-preview", "prompt": "a fox"}
MUSIC = {"model": "suno", "prompt": "a waltz"}


def test_generations_appear_without_a_reload(browser: Browser) -> None:
    with Sandbox(SandboxSettings(seconds=0.5)) as sandbox:
        page = browser.new_page()
        page.goto(f"{sandbox.base_url}/")
        assert page.locator(".card").count() == 0
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        for route, body in (("images", IMAGE), ("music", MUSIC)):
            url = f"{sandbox.base_url}/v1/{route}/generations"
            assert requests.post(url, json=body, headers=headers, timeout=10).status_code == 200

        page.wait_for_selector(".card img", timeout=30_000)
        page.wait_for_function("document.querySelectorAll('.card audio').length === 2", timeout=30_000)
        assert page.locator(".completed").count() == 2
        page.close()
