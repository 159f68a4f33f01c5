"""
Speed of reuse: a batch whose items are all in the library, beside a bare script that copies the same files.

``python -m benchmarks.library [--short]``, on a local disk and on S3 by moto's server. Each measurement is a process of
its own. The files are made once, and nothing is billed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import OutputKind
from airflow_provider_apimart.library.entry import EntryFile, LibraryEntry, Maker
from airflow_provider_apimart.library.library import Library
from airflow_provider_apimart.library.pack import pack_place
from airflow_provider_apimart.library.request_identity import request_identity
from airflow_provider_apimart.results.storage.kept_file import KeptFile, present_files
from airflow_provider_apimart.results.storage.receipts import SavedFile
from airflow_provider_apimart.sandbox import Sandbox
from benchmarks.own_process import told_by
from benchmarks.storages import STORAGES
from tests.results.hostile import picture, sha256

ITEMS, SHORT_ITEMS = 10_000, 150
BYTES = 100_000
MODEL = "gemini-2.5-flash-image-preview"
# The batch over its runs, as the tests' context names it.
_TASK = ("dag", "generate", -1)


_ROWS = {
    "batch, all reused": "batch",
    "... on the next night": "next_batch",
    "bare script that copies": "bare",
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_ITEMS} items instead of {ITEMS:,}")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_WORKERS[arguments.worker]()))
        return 0
    items = SHORT_ITEMS if arguments.short else ITEMS
    print(
        f"{items:,} files of {BYTES:,} bytes\n\n{'storage':<10}{'what':<26}{'seconds':>9}{'a second':>10}{'peak MB':>9}"
    )
    with tempfile.TemporaryDirectory(prefix="apimart-bench-") as home, Sandbox() as sandbox:
        for name, storage in STORAGES.items():
            with storage(Path(home)) as (root, variables):
                environment = {**variables, "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json()}
                _measure(name, root, items, {**environment, "AIRFLOW_HOME": home})
        return sandbox.accepted


def _measure(name: str, root: str, items: int, environment: Mapping[str, str]) -> None:
    variables = {**environment, "BENCH_ROOT": root, "BENCH_ITEMS": str(items)}
    run = partial(told_by, "benchmarks.library", "--worker", environment=variables)
    run("prepare")
    for what, worker in _ROWS.items():
        told = run(worker)
        speed = items / told["seconds"]
        print(f"{name:<10}{what:<26}{told['seconds']:>9.1f}{speed:>10.0f}{told['megabytes']:>9.0f}", flush=True)


def _items() -> list[dict[str, Any]]:
    return [{"id": f"item-{number}", "prompt": f"Cat {number}"} for number in range(int(os.environ["BENCH_ITEMS"]))]


def _kept_uri(number: int) -> str:
    return f"{os.environ['BENCH_ROOT']}/kept/{number}.png"


def _prepare() -> dict[str, Any]:
    """Write the kept files, and enter them as the batch that made them does."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    root, content = ObjectStoragePath(os.environ["BENCH_ROOT"]), picture(BYTES)
    if root.protocol in ("", "file"):
        (root / "kept").mkdir(parents=True)
    files = [SavedFile(_kept_uri(number), BYTES, sha256(content), "image/png") for number in range(len(_items()))]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda file: root.fs.pipe_file(ObjectStoragePath(file.uri).path, content), files))
        library, kept = Library(str(root / "library")), present_files(map(KeptFile, files), tagged=True)
        library.prepare()
        entries = [_entry(number, kept[KeptFile(file)]) for number, file in enumerate(files)]
        list(pool.map(library.enter, entries))
    since = datetime.now(UTC) - timedelta(hours=1)
    library.add_to_pack(pack_place(*_TASK), {each.name: each.to_bytes() for each in entries}, since)
    return {}


def _entry(number: int, kept: KeptFile) -> LibraryEntry:
    request = {"model": MODEL, "prompt": f"Cat {number}"}
    return LibraryEntry(
        identity=request_identity(Modality.IMAGE, request, {}),
        generation_id=f"task_{number}",
        modality=Modality.IMAGE,
        request=request,
        files=(EntryFile(kept, OutputKind.IMAGE),),
        cost=Decimal("0.06"),
        completed=datetime.now(UTC).replace(microsecond=0),
        made_by=Maker("bench", "generate", "first", -1, f"item-{number}"),
    )


def _batch(night: str = "tonight") -> dict[str, Any]:
    """Run the batch operator."""
    from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
    from tests.batch.bare import task_context

    root, items = os.environ["BENCH_ROOT"], _items()
    operator = ApimartBatchGenerationOperator(
        task_id="generate",
        model=MODEL,
        requests=items,
        destination=f"{root}/{night}",
        filename="{id}",
        library=f"{root}/library",
        reuse_within=3600,
    )
    context = task_context()
    context["task"] = operator
    told = _timed(lambda: operator.execute(context))
    assert context["ti"].pushed["manifest"]["reused"] == len(items)
    return told


def _bare() -> dict[str, Any]:
    """Copy the files and nothing else, eight at a time as the batch does."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    root = ObjectStoragePath(os.environ["BENCH_ROOT"])
    if root.protocol in ("", "file"):
        (root / "bare").mkdir()
    base, store = root.path, root.fs

    def copy(number: int) -> None:
        store.cp_file(f"{base}/kept/{number}.png", f"{base}/bare/{number}.png")

    def work() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(copy, range(len(_items()))))

    return _timed(work)


def _timed(work: Callable[[], object]) -> dict[str, Any]:
    import resource
    import time

    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    return {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


_WORKERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "prepare": _prepare,
    "batch": _batch,
    "next_batch": partial(_batch, "next_night"),
    "bare": _bare,
}

if __name__ == "__main__":
    sys.exit(main())
