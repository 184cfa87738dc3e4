"""Mask call records, so that they show Bitrix24's support each call without tokens or personal data.

The Market requires three days of requests and responses from server applications (preparing-to-publish,
common requirements); its security checklist forbids tokens and personal data in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dashboard.core.json_values import Json

MASK = "…"
MAX_KEPT_TEXT_LENGTH = 64
MAX_RECORDED_BYTES = 32 * 1024  # bytes of a response; a longer one is not recorded

# The only keys whose text is kept. Any other text could be a name, an address or a token.
READABLE_FIELDS = frozenset(
    re.findall(
        r"\w+",
        """
        view collapseOffHours showWeekNumbers showTasks syncTasks showCompletedTasks
        lastUsedSection syncPeriodPast syncPeriodFuture meetSection crmSection timezoneName
        timezoneDefaultName type count before time value work_time_start work_time_end
        week_start STATUS LICENSE LICENSE_TYPE LICENSE_FAMILY CODE PAYMENT_EXPIRED LANGUAGE_ID
        ID TIME_ZONE error event placement halt grant_type expires_in status scope date_start
        date_finish
        """,
    )
)
# One character on either side of the @ is enough; looking for more takes quadratic time.
_SECRET_LIKE = re.compile(r"[0-9A-Za-z_\-]{24,}|\S@\S")


@dataclass(frozen=True)
class CallRecord:
    """One request to Bitrix24. ``status`` is None without a response; sizes are bytes."""

    at: datetime
    origin: str
    method: str
    status: int | None
    error: str | None
    milliseconds: int
    sent: int
    received: int
    parameters: Json
    answer: Json


# Receives the record of each call as soon as it ends.
CallRecorder = Callable[[CallRecord], None]


def record_nothing(call: CallRecord) -> None:
    """Ignore a record: the calls of an operator's command belong to no portal."""


def mask(value: Json, *, key: str = "") -> Json:
    """Return the value with its shape, numbers and flags; only texts of READABLE_FIELDS are kept."""
    if isinstance(value, dict):
        return {
            MASK if _SECRET_LIKE.search(name) else name[:MAX_KEPT_TEXT_LENGTH]: mask(item, key=name)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [mask(item, key=key) for item in value]
    if isinstance(value, str) and value:
        return value[:MAX_KEPT_TEXT_LENGTH] if key in READABLE_FIELDS and not _SECRET_LIKE.search(value) else MASK
    return value
