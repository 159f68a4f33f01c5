"""State file: keeps generations, charges, idempotency keys and uploads over a restart of the sandbox."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_apimart.sandbox.media.files import Files
from airflow_provider_apimart.sandbox.service.service import Apimart
from airflow_provider_apimart.sandbox.service.state import restore_service, service_state

VERSION = 1


class StateFileError(ValueError):
    """A state file can't be read."""


class StateFile:
    """
    The state of a sandbox in a JSON file, written as a whole.

    :param path: the file; it need not exist
    """

    def __init__(self, path: Path, apimart: Apimart, files: Files) -> None:
        self._path = path
        self._apimart = apimart
        self._files = files
        self._written = ""

    def load(self) -> None:
        """Restore the state; raises :class:`StateFileError` for a file of another kind. A missing file is no error."""
        try:
            state = json.loads(self._path.read_text())
            if state["version"] != VERSION:
                raise ValueError(f"version {state['version']!r}")
            restore_service(self._apimart, state["service"])
            self._files.restore(state["uploads"])
        except FileNotFoundError:
            return
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StateFileError(f"{self._path} is not a state file of this version ({error}); delete it") from error

    def save(self) -> None:
        """Write the state if it has changed."""
        state = {"version": VERSION, "service": service_state(self._apimart), "uploads": self._files.state()}
        text = json.dumps(state)
        if text != self._written:
            part = self._path.with_name(f"{self._path.name}.part")
            part.write_text(text)
            part.replace(self._path)
            self._written = text
