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


def is_of_an_earlier_try(event: object, context: Context) -> bool:
    """
    Return whether the event ended the wait of another try than the one that runs.

    Airflow 3.0 and 3.1.0 resume a retry with the event that made the try before fail (apache/airflow#56704). Such a
    retry has to begin anew: it would fail with the same event each time.
    """
    waited = event.get(TRY_NUMBER) if isinstance(event, Mapping) else None
    if waited is None or waited == context["ti"].try_number:
        return False
    log.info("Airflow resumes this try with the event of try %s; it begins anew", waited)
    return True
