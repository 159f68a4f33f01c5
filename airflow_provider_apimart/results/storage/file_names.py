"""
File names from the user's template, safe for any value that a server sends.

A value can't leave its place in the name: characters with a meaning to a file system, a shell's pattern or a terminal
are replaced. A value or name that was changed or cut carries a digest of the original, so that two of them stay apart.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from string import Formatter

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

FIELDS = (
    "generation_id", "index", "id", "key", "kind", "model", "modality",
    "ds", "run_id", "dag_id", "task_id", "map_index",
)  # fmt: skip
DEFAULT_TEMPLATE = "{generation_id}_{index}"

_VALUE_BYTES = 120
# A file system allows 255; the extension is still to come.
_NAME_BYTES = 230
_DIGEST_LETTERS = 8
_LONG_DIGEST_LETTERS = 32
_PLAIN = " _-+=@,.()"
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


class FileNames:
    """
    Names files by a template.

    :param template: Text with fields in braces, such as ``{ds}/{generation_id}_{index:03d}``. A ``/`` makes folders.
        The file's extension is not part of it.
    :raises ApimartInvalidRequestError: If it is no such template.
    """

    def __init__(self, template: str | PurePath = DEFAULT_TEMPLATE) -> None:
        self._template = _text(template)
        self._parts = _parsed(self._template)
        if unknown := [field for _, field, _ in self._parts if field is not None and field not in FIELDS]:
            raise _bad(template, f"{{{unknown[0]}}} is no field; the fields are {', '.join(FIELDS)}")
        _check_folders(self._template, "".join(text + ("x" if field else "") for text, field, _ in self._parts))

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it uses."""
        return frozenset(field for _, field, _ in self._parts if field)

    def stem(self, values: Mapping[str, object]) -> str:
        """
        Return the name of a file without its extension, relative to the destination.

        :param values: The value of each field, ``None`` where it isn't known.
        :raises ApimartInvalidRequestError: If a value doesn't fit its format.
        """
        written = "".join(text + self._written(field, form, values) for text, field, form in self._parts)
        return "/".join(map(_safe_part, written.split("/")))

    def _written(self, field: str | None, form: str, values: Mapping[str, object]) -> str:
        if field is None:
            return ""
        value = values.get(field)
        try:
            return safe_value("unknown" if value is None else format(value, form))
        except (ValueError, TypeError, OverflowError) as error:
            raise _bad(self._template, f"{{{field}:{form}}} is invalid: {error}") from error


def alternatives(stem: str, owner: str) -> Iterator[str]:
    """
    Go through the names that an output's file may have, without the extension: its own, then two with a digest.

    :param stem: The name by the template.
    :param owner: The output; the digest is of it, so that no other output has the same.
    """
    digest = hashlib.sha256(owner.encode()).hexdigest()
    yield stem
    for letters in (_DIGEST_LETTERS, _LONG_DIGEST_LETTERS):
        folder, slash, name = stem.rpartition("/")
        yield f"{folder}{slash}{_with_digest(name, digest[:letters])}"


def safe_value(value: str) -> str:
    """Return a text that is a harmless piece of a file's name: itself, if it is that already."""
    normal = unicodedata.normalize("NFKC", value)
    harmless = "".join(letter if _is_harmless(letter) else "_" for letter in normal)
    short = _cut(harmless, _VALUE_BYTES).strip(" .")
    if short and short == value and not _RESERVED.match(value):
        return value
    return f"{short}-{_digest(value)}"


def _is_harmless(letter: str) -> bool:
    # Letters, their marks, numbers: what people write names with.
    return letter in _PLAIN or unicodedata.category(letter)[0] in "LMN"


def _safe_part(part: str) -> str:
    """Return a folder's or file's name whose values are harmless already: itself, if it is that as a whole."""
    # Values that are in one form each may not be together: "e" before an accent.
    name = unicodedata.normalize("NFC", part).strip().lstrip(".").rstrip(". ")
    name = f"_{name}" if not name or _RESERVED.match(name) else name
    return name if name == part and len(part.encode()) <= _NAME_BYTES else _with_digest(name, _digest(part))


def _with_digest(name: str, digest: str) -> str:
    return f"{_cut(name, _NAME_BYTES - len(digest) - 1)}-{digest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGEST_LETTERS]


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "ignore")[:size].decode("utf-8", "ignore")


def _text(template: object) -> str:
    if isinstance(template, str | PurePath):
        return str(template)
    raise _bad(template, f"it is {type(template).__name__}, not a text")


def _parsed(template: str) -> list[tuple[str, str | None, str]]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _bad(template, str(error)) from error
    if any(conversion or "{" in (form or "") for _, _, form, conversion in parts):
        raise _bad(template, "only {field} and {field:format} are understood")
    for _, field, form, _ in parts:
        if any(len(number) > 4 or int(number) > _VALUE_BYTES for number in re.findall(r"\d+", form or "")):
            raise _bad(template, f"the format of {{{field}}} is wider than {_VALUE_BYTES} characters")
    return [(text, field, form or "") for text, field, form, _ in parts]


def _check_folders(template: str, example: str) -> None:
    for part in example.split("/"):
        if part.startswith(".") or not part.strip():
            raise _bad(template, f"{part!r} is no name of a folder or file" if part else "a folder or file has no name")
    if unicodedata.normalize("NFC", example) != example or re.search(r'[\\\x00-\x1f\x7f*?<>|":]', example):
        raise _bad(template, "it holds characters that not every storage takes")


def _bad(template: object, why: str) -> ApimartInvalidRequestError:
    return ApimartInvalidRequestError(f"Invalid filename {template!r}: {why}. Nothing was sent or fetched")
