"""Files for the lab's DAGs to refer to."""

from __future__ import annotations

from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"
DISTINCT_REFERENCES = 2


def write_references(folder: Path) -> dict[str, str]:
    """
    Write the files that ``lab_references_...`` refers to, and return the run's ``conf`` that names them.

    Two of the three have the same content.
    """
    contents = {"reference": b"a fox", "same": b"a fox", "other": b"a hen"}
    paths = {name: folder / f"{name}.png" for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(PNG + content)
    return {name: str(path) for name, path in paths.items()}
