"""Whether a deferred task may go on with the event that it is resumed with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

#: The key under which a trigger's event says which try has waited.
TRY_NUMBER = "try_number"


def must_restart(event: object, context: Context) -> bool:
    """
    Return whether the event ended the wait of another try in vain, and say so in the log.

    Airflow 3.0 and 3.1.0 resume a retry with the event that made the try before fail (apache/airflow#56704), and below
    3.1 a scheduler that resets an orphaned task does the like. With the same event it would fail each time. What ended
    well is paid for, and is delivered whichever try has waited for it.
    """
    from airflow_provider_apimart.api.waiting import Verdict

    said = event if isinstance(event, Mapping) else {}
    waited = said.get(TRY_NUMBER)
    if waited in (None, context["ti"].try_number) or said.get("verdict") == Verdict.COMPLETED:
        return False
    log.info("Airflow resumes this try with the event of try %s; it begins anew", waited)
    return True
