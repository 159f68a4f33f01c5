"""
Bare asyncio script without the provider: it submits all items at once and polls at a fixed interval.

It has no record, no retries and no idempotency keys. It shows the upper limit for the speed of a batch.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time

import aiohttp

from airflow_provider_apimart.sandbox import SandboxSettings

MODEL = "gemini-2.5-flash-image-preview"


async def make(session: aiohttp.ClientSession, slots: asyncio.Semaphore, number: int, seconds: float) -> None:
    """Generate one image."""
    async with slots:
        async with session.post("/v1/images/generations", json={"model": MODEL, "prompt": f"Cat {number}"}) as reply:
            generation_id = (await reply.json())["data"][0]["task_id"]
        while True:
            await asyncio.sleep(seconds)
            async with session.get(f"/v1/tasks/{generation_id}") as reply:
                status = (await reply.json())["data"]["status"]
            if status == "completed":
                return


async def main() -> None:
    """Generate all images and print the seconds and the peak of memory."""
    described = argparse.ArgumentParser()
    described.add_argument("base_url")
    described.add_argument("--items", type=int, required=True)
    described.add_argument("--in-flight", type=int, required=True)
    described.add_argument("--seconds", type=float, required=True, help="between two polls")
    asked = described.parse_args()
    slots = asyncio.Semaphore(asked.in_flight)
    headers = {"Authorization": f"Bearer {SandboxSettings().api_key}"}
    began = time.monotonic()
    async with aiohttp.ClientSession(asked.base_url, headers=headers) as session:
        await asyncio.gather(*(make(session, slots, number, asked.seconds) for number in range(asked.items)))
    took = time.monotonic() - began
    print(json.dumps({"seconds": took, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    asyncio.run(main())
