"""What is remembered of a call: enough to explain it to Bitrix24's support, nothing that identifies or opens.

The Market asks server applications for three days of requests and answers (preparing-to-publish,
common requirements); the security checklist forbids tokens and personal data in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from dashboard.core.json_values import Json

MASK = "…"
MAX_NOTE_LENGTH = 64
MAX_TEXT_LENGTH = 32 * 1024  # bytes of an answer; a longer one is not worth its room

# The only keys whose text is kept; any other text could be a name, an address or a token.
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
# One mark on either side of the @ is enough, and to look for more takes a time that grows with the square.
_SECRET_LIKE = re.compile(r"[0-9A-Za-z_\-]{24,}|\S@\S")


@dataclass(frozen=True)
class CallRecord:
    """One request to Bitrix24. ``status`` is None where no answer came; sizes are bytes."""

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


# Receives each call as soon as it ends. Whoever makes a request says who keeps the record of it.
RecordCall = Callable[[CallRecord], None]


def record_nothing(call: CallRecord) -> None:
    """Keep nothing: the calls of an operator's command belong to no portal."""


def mask(value: Json, *, key: str = "") -> Json:
    """Return the value with its shape, numbers and flags kept and every text hidden that is not in SPOKEN."""
    if isinstance(value, Mapping):
        return {_mask_key(name): mask(item, key=name) for name, item in value.items()}
    if isinstance(value, list):
        return [mask(item, key=key) for item in value]
    if isinstance(value, str) and value:
        return value[:MAX_NOTE_LENGTH] if key in READABLE_FIELDS and not _SECRET_LIKE.search(value) else MASK
    return value


def _mask_key(name: str) -> str:
    return MASK if _SECRET_LIKE.search(name) else name[:MAX_NOTE_LENGTH]
