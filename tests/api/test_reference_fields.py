from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.payload import build_payload
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.hooks.reference_files import ReferenceFiles
from tests.lab.references import PNG

URL = "https://upload.apimart.ai/f/image/1-photo.jpg"
GIVEN = {"model": "m", "prompt": "a fox"}

PLACES: dict[str, Any] = {
    "image_urls[0]": lambda file: {"image_urls": [file]},
    "image_urls[1]": lambda file: {"image_urls": [URL, file]},
    "image_urls[0].url": lambda file: {"image_urls": [{"url": file, "weight": 0.5}]},
    "image_with_roles[1].url": lambda file: {
        "image_with_roles": [{"url": URL, "role": "a"}, {"url": file, "role": "b"}]
    },
    "mask_url": lambda file: {"mask_url": file},
    "first_frame_url": lambda file: {"first_frame_url": file},
    "extra.reference.url": lambda file: {"extra": {"reference": {"url": file}}},
}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "fox.png"
    path.write_bytes(PNG + b"a fox")
    return path


def request_with(parameters: dict[str, Any]) -> PaidRequest:
    payload = build_payload(GIVEN, parameters, with_files=True)
    return ReferenceFiles().request("apimart_default", Modality.IMAGE, payload)


def refused(parameters: dict[str, Any]) -> str:
    with pytest.raises(ApimartInvalidRequestError) as raised:
        request_with(parameters)
    message = str(raised.value)
    assert "Nothing was sent" in message
    return message


FORMS: dict[str, Any] = {
    "text": str,
    "text with blanks": lambda path: f" {path}\n",
    "URI": lambda path: path.as_uri(),
    "path": lambda path: path,
    "object storage path": lambda path: ObjectStoragePath(path.as_uri()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES)
def test_a_file_stands_for_its_content_and_is_sent_as_its_url(place: str, form: str, picture: Path) -> None:
    request = request_with(PLACES[place](FORMS[form](picture)))
    (name, file), *others = request.files.items()
    assert not others
    assert name == f"sha256:{file.sha256}"
    assert request.payload == {**GIVEN, **PLACES[place](name)}
    assert request.body({name: "https://u/1"}) == {**GIVEN, **PLACES[place]("https://u/1")}


def test_a_single_file_needs_no_list(picture: Path) -> None:
    request = request_with({"image_urls": str(picture)})
    assert request.payload["image_urls"] == next(iter(request.files))


def test_the_same_content_under_two_names_is_one_file_and_the_same_work(picture: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other.jpg"
    copy.write_bytes(picture.read_bytes())
    both = request_with({"image_urls": [str(picture), copy, picture.as_uri()]})
    assert len(both.files) == 1
    named_so, named_otherwise = (request_with({"image_urls": [path]}) for path in (picture, copy))
    assert named_so.fingerprint == named_otherwise.fingerprint


def test_another_content_is_other_work(picture: Path) -> None:
    before = request_with({"image_urls": [str(picture)]})
    picture.write_bytes(PNG + b"a hen")
    after = request_with({"image_urls": [str(picture)]})
    assert before.fingerprint != after.fingerprint


def test_a_request_without_files_is_the_work_that_it_was_before_files_could_be_named() -> None:
    """A retry after an upgrade must find its generation."""
    payload = build_payload(GIVEN, {"image_urls": [URL]})
    request = request_with({"image_urls": [URL]})
    assert request.fingerprint == PaidRequest("apimart_default", Modality.IMAGE, payload).fingerprint
    assert request.fingerprint == "d20747a265f2067112a27e5609cb197e8db5c90fb0a84dab954544e8193fd129"
    assert request.body({}) == payload
    assert not request.files


def test_each_file_is_read_once_for_any_number_of_requests(picture: Path) -> None:
    files = ReferenceFiles()
    payload = build_payload(GIVEN, {"image_urls": [str(picture)]}, with_files=True)
    first = files.request("c", Modality.IMAGE, payload)
    picture.unlink()
    assert files.request("c", Modality.VIDEO, payload).files == first.files


@pytest.mark.parametrize("place", PLACES)
def test_a_missing_file_is_named_with_its_place(place: str, tmp_path: Path) -> None:
    path = tmp_path / "none.png"
    message = refused(PLACES[place](str(path)))
    assert f"{place}: there is no image at {path}" in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 ...", "application/pdf"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(100), "video/mp4"),
        (PNG + bytes(20 * 1024 * 1024), "20 MB"),
    ],
    ids=["empty", "pdf", "video", "too large"],
)
def test_a_file_that_cannot_be_uploaded_is_named_with_its_place(picture: Path, content: bytes, found: str) -> None:
    picture.write_bytes(content)
    message = refused({"image_urls": [URL, str(picture)]})
    assert "image_urls[1]: " in message
    assert str(picture) in message
    assert found in message


@pytest.mark.parametrize("field", ["video_url", "video_urls", "audio_urls", "reference_audio_url"])
def test_videos_and_audio_cannot_be_uploaded(field: str, picture: Path) -> None:
    message = refused({field: [str(picture)]})
    assert f"{field}[0]" in message
    assert "only images can be uploaded" in message


@pytest.mark.parametrize(
    ("value", "described"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", "data: URL"),
        ("QUJD" * 100, "base64 data"),
        ("", "an empty text"),
        (5, "not int"),
        (None, "returned nothing"),
        ("foo://host/fox.png", "foo://host/fox.png"),
    ],
)
def test_what_is_neither_url_nor_path_is_refused(value: object, described: str) -> None:
    message = refused({"image_urls": [value]})
    assert "image_urls[0]" in message
    assert described in message


def test_files_elsewhere_than_in_references_are_refused(picture: Path) -> None:
    assert "metadata.path" in refused({"metadata": {"path": picture}})
    assert "image holds a file:// URL" in refused({"image": picture.as_uri()})


@pytest.mark.parametrize("form", FORMS)
def test_without_leave_a_file_is_refused_with_advice(form: str, picture: Path) -> None:
    with pytest.raises(ApimartInvalidRequestError, match="upload_references=True"):
        build_payload(GIVEN, {"image_urls": [FORMS[form](picture)]})
