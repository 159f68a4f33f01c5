"""Detection of trigger events that belong to another try."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

#: Key of the number of the try that waited, in a trigger's event.
TRY_NUMBER = "try_number"


def must_restart(event: object, context: Context) -> bool:
    """
    Return whether the event belongs to another try that failed, and log it.

    Airflow 3.0 and 3.1.0 resume a retry with the event that made the previous try fail (apache/airflow#56704), and so
    does a scheduler below 3.1 that resets an orphaned task. With that event every retry would fail. A completed
    generation is paid for, and is delivered whichever try waited for it.
    """
    from airflow_provider_apimart.api.waiting import Verdict

    said = event if isinstance(event, Mapping) else {}
    waited = said.get(TRY_NUMBER)
    if waited in (None, context["ti"].try_number) or said.get("verdict") == Verdict.COMPLETED:
        return False
    log.info("Airflow resumed this try with the event of try %s; the try starts over", waited)
    return True
