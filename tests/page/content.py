"""Content for the pages, made by the real operators with a sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_apimart.batch.ledger_entry import LedgerEntry, ledger_text
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.durable.ledger_path import LEDGER_SUFFIX
from airflow_provider_apimart.durable.task_identity import TaskIdentity, file_name_of
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import (
    ApimartImageGenerationOperator,
    ApimartMusicGenerationOperator,
    ApimartVideoGenerationOperator,
)
from airflow_provider_apimart.page_index.entry import DaySpending, IndexEntry, Kind, State
from airflow_provider_apimart.page_index.writing import IndexFile

IMAGE_MODEL = "gemini-3-pro-image-preview"
_OPERATORS: Mapping[str, Any] = {
    "image": ApimartImageGenerationOperator,
    "video": ApimartVideoGenerationOperator,
    "music": ApimartMusicGenerationOperator,
}
MODELS = {"image": IMAGE_MODEL, "video": "veo3.1-fast", "music": "suno"}


def context(
    dag_id: str, run_id: str = "run", task_id: str = "generate", map_index: int = -1, try_number: int = 1
) -> Any:
    """Return as much of a task's context as the operators read."""
    ti = SimpleNamespace(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        max_tries=0,
        try_number=try_number,
        start_date=datetime.now(UTC),
        xcom_push=lambda key, value: None,
    )
    return {"ti": ti, "ds": "2026-01-01", "run_id": run_id, "outlet_events": {}, "task": SimpleNamespace(outlets=())}


def batch(dag_id: str, folder: Path, requests: Iterable[object], **options: Any) -> None:
    """Run a batch whose files are saved to a folder."""
    given: dict[str, Any] = {
        "model": IMAGE_MODEL,
        "max_failures": 1.0,
        "item_retries": 0,
        "poll_interval": 0.1,
    } | options
    operator = ApimartBatchGenerationOperator(
        task_id=given.pop("task_id", "generate"),
        requests=[{"prompt": each} if isinstance(each, str) else each for each in requests],
        destination=folder.as_uri(),
        allow_private_hosts=True,
        **given,
    )
    operator.execute(context(dag_id, task_id=operator.task_id))


def generation(dag_id: str, modality: str = "image", *, where: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Run a task with one generation."""
    given: dict[str, Any] = {"model": MODELS[modality], "prompt": "A lighthouse", "allow_private_hosts": True} | options
    of = context(dag_id, **(where or {"task_id": "draw"}))
    operator = _OPERATORS[modality](task_id=of["ti"].task_id, poll_interval=0.1, **given)
    operator.execute(of)


def large_batch(dag_id: str, folder: Path, items: int, picture: Path | None = None) -> IndexEntry:
    """Write ledger and entry of a batch of many items, as a task would."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / ledger_name(dag_id, "generate", "large")
    ledger.write_bytes(ledger_text(line(number, picture) for number in range(items)))
    entry = IndexEntry(
        name=f"{dag_id}.large",
        kind=Kind.BATCH,
        dag_id=dag_id,
        task_id="generate",
        run_id="large",
        state=State.FINISHED,
        began=datetime.now(UTC),
        ledger=ledger.as_uri(),
        destination=folder.as_uri(),
        counts={"items": items, "completed": items},
        cost=Decimal("0.05") * items,
        spending=(DaySpending(f"{datetime.now(UTC):%Y-%m-%d}", IMAGE_MODEL, items, Decimal("0.05") * items),),
    )
    IndexFile().write(entry)
    return entry


def ledger_name(dag_id: str, task_id: str, run_id: str) -> str:
    """Return the name of the ledger of a task instance."""
    return f"{file_name_of(TaskIdentity(dag_id, run_id, task_id, -1, 0))}{LEDGER_SUFFIX}"


def line(number: int, picture: Path | None = None, **changes: Any) -> LedgerEntry:
    """Return a line of a ledger as long as those of real batches."""
    at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number)
    generation_id = f"task_{number:026d}"
    saved = {"uri": (picture or Path(f"/nowhere/{number}.png")).as_uri(), "bytes": 120_303, "sha256": "ab" * 32}
    said: dict[str, Any] = {
        "status": ItemStatus.COMPLETED,
        "generation_id": generation_id,
        "modality": "image",
        "model": IMAGE_MODEL,
        "prompt": f"Product photograph number {number} of a ceramic teapot on a linen cloth, soft light from the left",
        "requested": 1,
        "outputs": ({"url": f"https://files.example/{generation_id}.png", "kind": "image", "expires_at": None},),
        "files": (saved | {"media_type": "image/png"},),
        "cost": Decimal("0.05"),
        "submitted": at.isoformat(),
        "completed": (at + timedelta(seconds=20)).isoformat(),
        "saved": (at + timedelta(seconds=21)).isoformat(),
        "quote": {"cost": 0.05, "certainty": "exact", "reason": None},
        "request": {"n": 1, "size": "1:1", "resolution": "1K"},
        "submission": {"state": "submitted", "fingerprint": "cd" * 32, "idempotency_key": f"airflow-{'ef' * 32}"},
    }
    return LedgerEntry(f"product-{number}", number, **said | changes)
