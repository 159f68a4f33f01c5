"""Files: what is drawn, from what, how large, and for how long it can be fetched."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import av
import pytest
from PIL import Image, ImageStat

from airflow_provider_apimart.sandbox import Sandbox

from .support import Client, fetch, picture


def drawn(client: Client, **body: Any) -> Image.Image:
    """Let a picture be drawn, and fetch it."""
    client.finished(**body)
    return Image.open(io.BytesIO(fetch(client.sandbox.generations[-1].urls[0]).content)).convert("RGB")


def mean(image: Image.Image, box: tuple[float, float, float, float] = (0.1, 0.3, 0.9, 0.7)) -> list[float]:
    """Average the colours of a part of a picture."""
    left, top, right, bottom = box
    width, height = image.size
    part = image.crop((int(left * width), int(top * height), int(right * width), int(bottom * height)))
    return ImageStat.Stat(part).mean


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (1024, 1024)),
        ({"size": "16:9"}, (1368, 768)),
        ({"size": "9:16"}, (768, 1368)),
        ({"size": "16:9", "resolution": "2K"}, (2728, 1536)),
        ({"size": "16:9", "resolution": "4K"}, (4096, 2304)),
        ({"model": "gpt-image-1.5", "size": "1536x1024"}, (1536, 1024)),
        ({"model": "doubao-seedream-4-5", "size": "1024x768", "resolution": "2K"}, (1024, 768)),
    ],
)
def test_size_and_resolution_are_honoured(client: Client, asked: dict[str, Any], size: tuple[int, int]) -> None:
    assert drawn(client, **asked).size == size


def test_n_pictures_differ(client: Client) -> None:
    client.finished(n=3)
    urls = client.sandbox.generations[0].urls

    assert len({fetch(url).content for url in urls}) == len(urls) == 3


def test_the_same_request_draws_the_same_picture(client: Client) -> None:
    assert drawn(client).tobytes() == drawn(client).tobytes()
    assert drawn(client, seed=1).tobytes() != drawn(client, seed=2).tobytes()


def test_the_prompt_is_written_into_the_picture(client: Client) -> None:
    """The seed fixes the scene, so only the writing can differ, and only at the foot."""
    one, other = drawn(client, prompt="a fox", seed=3), drawn(client, prompt="an owl", seed=3)
    foot = int(one.height * 0.8)
    whole = (one.width, one.height)

    assert one.crop((0, 0, whole[0], foot)).tobytes() == other.crop((0, 0, whole[0], foot)).tobytes()
    assert one.crop((0, foot, *whole)).tobytes() != other.crop((0, foot, *whole)).tobytes()


@pytest.mark.parametrize("wrap", [str, lambda url: {"url": url}], ids=["strings", "objects"])
def test_a_reference_shows_in_the_picture(client: Client, wrap: Any) -> None:
    red, blue = (wrap(client.upload(picture(colour)).json()["url"]) for colour in ("red", "blue"))
    from_red, from_blue = drawn(client, image_urls=[red]), drawn(client, image_urls=[blue])

    assert mean(from_red)[0] > mean(from_red)[2] + 100
    assert mean(from_blue)[2] > mean(from_blue)[0] + 100


def test_further_references_are_pinned_to_the_corner(client: Client) -> None:
    red, green = (client.upload(picture(colour)).json()["url"] for colour in ("red", "lime"))
    both, one = drawn(client, image_urls=[red, green], seed=1), drawn(client, image_urls=[red], seed=1)

    corner = (0.5, 0.0, 1.0, 0.2)
    assert mean(both, corner)[1] > mean(one, corner)[1] + 20


def test_a_result_serves_as_a_reference(client: Client) -> None:
    red = client.upload(picture("red")).json()["url"]
    first = client.finished(image_urls=[red])["result"]["images"][0]["url"][0]
    film = client.finished(kind="videos", image_urls=[first])["result"]["videos"][0]["url"][0]

    assert mean(drawn(client, image_urls=[film]))[0] > 200


def test_a_foreign_reference_is_left_out(client: Client) -> None:
    assert drawn(client, image_urls=["http://example.com/a.png"]).size == (1024, 1024)


def test_a_broken_reference_is_left_out(client: Client) -> None:
    url = client.upload(b"\x89PNG\r\n\x1a\nbroken").json()["url"]

    assert drawn(client, image_urls=[url]).size == (1024, 1024)


def test_a_missing_reference_fails_the_job(client: Client) -> None:
    url = client.upload(picture("red")).json()["url"]
    client.sandbox.advance(3 * 86_400)
    data = client.finished(image_urls=[url])

    assert data["error"]["message"] == f"failed to download image: {url}"
    assert client.sandbox.billed == 0


@pytest.mark.parametrize(
    ("asked", "size", "seconds"),
    [
        ({}, (640, 360), 5),
        ({"aspect_ratio": "9:16", "resolution": "480p"}, (240, 426), 5),
        ({"duration": 10, "resolution": "1080p"}, (960, 540), 10),
    ],
)
def test_a_video_plays(client: Client, asked: dict[str, Any], size: tuple[int, int], seconds: int) -> None:
    client.finished(kind="videos", **asked)
    content = fetch(client.sandbox.generations[0].urls[0]).content
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        frames = [bytes(frame.planes[0]) for frame in container.decode(stream)]
        assert (stream.width, stream.height) == size
        assert float((stream.duration or 0) * (stream.time_base or 0)) == pytest.approx(seconds)

    assert stream.codec_context.name in ("h264", "mpeg4")
    assert frames[0] != frames[-1]


def test_a_video_moves_its_reference(client: Client) -> None:
    red = client.upload(picture("red")).json()["url"]
    client.finished(kind="videos", image_urls=[red])
    with av.open(io.BytesIO(fetch(client.sandbox.generations[0].urls[0]).content), "r") as container:
        first = next(container.decode(video=0)).to_image()  # type: ignore[no-untyped-call]  # PyAV leaves it untyped

    assert mean(first)[0] > mean(first)[2] + 100


def test_uploads_expire_after_72_hours(client: Client, sandbox: Sandbox) -> None:
    url = client.upload(picture("red")).json()["url"]
    sandbox.advance(72 * 3600 - 5)
    assert fetch(url).status_code == 200
    sandbox.advance(5)

    assert fetch(url).status_code == 404


def test_results_expire_when_they_say(client: Client, sandbox: Sandbox) -> None:
    data = client.finished()
    image = data["result"]["images"][0]
    sandbox.advance(image["expires_at"] - data["completed"] - 5)
    assert fetch(image["url"][0]).status_code == 200
    sandbox.configure(expired_file_status=410)
    sandbox.advance(5)

    assert fetch(image["url"][0]).status_code == 410


def test_unfinished_and_invented_files_are_not_there(client: Client, sandbox: Sandbox) -> None:
    url = client.finished()["result"]["images"][0]["url"][0]
    head, _, tail = url.rpartition("/")

    assert fetch(f"{head}/{(int(tail[0]) + 1) % 10}{tail[1:]}").status_code == 404
    assert fetch(f"{sandbox.base_url}/f/image/none.png").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=999999-", 416, slice(0, 0)),
        ("lines=1-2", 416, slice(0, 0)),
    ],
)
def test_ranges(client: Client, asked: str, status: int, part: slice) -> None:
    content = picture("red")
    url = client.upload(content).json()["url"]
    reply = fetch(url, Range=asked)

    assert (reply.status_code, reply.content) == (status, content[part])
    assert reply.headers["Content-Range"].endswith(f"/{len(content)}")


def test_the_key_of_a_careless_client_is_seen(client: Client, sandbox: Sandbox) -> None:
    url = client.upload(picture("red")).json()["url"]
    fetch(url, Authorization="Bearer oops")
    fetch(url)

    assert [seen.headers.get("authorization") for seen in sandbox.file_requests] == ["Bearer oops", None]


def test_image_libraries_are_not_imported_until_a_picture_is_drawn() -> None:
    script = (
        "import sys, airflow_provider_apimart.sandbox as s\n"
        "with s.Sandbox(): pass\n"
        "print([name for name in ('PIL', 'av') if name in sys.modules])"
    )

    assert subprocess.check_output([sys.executable, "-c", script], text=True, timeout=30) == "[]\n"


def test_without_the_extra_the_error_names_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "airflow_provider_apimart.sandbox.media.image", raising=False)
    monkeypatch.delitem(sys.modules, "airflow_provider_apimart.sandbox.media.video", raising=False)
    monkeypatch.delattr("airflow_provider_apimart.sandbox.media.image", raising=False)
    monkeypatch.delattr("airflow_provider_apimart.sandbox.media.video", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)
    reply = fetch(client.finished(prompt="never drawn before")["result"]["images"][0]["url"][0])

    assert reply.status_code == 500
    assert "pip install 'airflow-provider-apimart[sandbox]'" in reply.text
