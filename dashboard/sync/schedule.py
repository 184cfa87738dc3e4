"""Choose when a portal is synchronized daily: at night in its time zone, spread over three hours."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

EARLIEST_TIME = time(1, 30)
SPREAD_MINUTES = 180
MIN_INTERVAL = timedelta(hours=4)
MAX_TIME_TO_NEXT_RUN = timedelta(hours=30)  # the next off-peak time is never further away


def next_off_peak(now: datetime, zone: str, *, member_id: str) -> datetime:
    """Return the portal's next off-peak time (UTC), at least MIN_INTERVAL away; its minute depends on ``member_id``."""
    local = ZoneInfo(zone or "UTC")
    minute = zlib.crc32(member_id.encode()) % SPREAD_MINUTES
    earliest = (now + MIN_INTERVAL).astimezone(local)
    days = (earliest.date() + timedelta(days=number) for number in range(2))
    times = (datetime.combine(day, EARLIEST_TIME, local) + timedelta(minutes=minute) for day in days)
    return next(moment for moment in times if moment >= earliest).astimezone(UTC)
