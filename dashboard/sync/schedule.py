"""When a portal is read by itself: at night where most of its people are, spread over three hours. Pure."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

EARLIEST_HOUR = time(1, 30)
SPREAD_MINUTES = 180
MIN_INTERVAL = timedelta(hours=4)
MAX_WAIT = timedelta(hours=30)  # no night is farther away than this


def next_off_peak(now: datetime, zone: str, *, member_id: str) -> datetime:
    """Return the portal's own minute of its next quiet night, at least four hours away (aware UTC)."""
    there = ZoneInfo(zone) if zone else ZoneInfo("UTC")
    minute = zlib.crc32(member_id.encode()) % SPREAD_MINUTES
    earliest = (now + MIN_INTERVAL).astimezone(there)
    days = (earliest.date() + timedelta(days=number) for number in range(2))
    nights = (datetime.combine(day, EARLIEST_HOUR, there) + timedelta(minutes=minute) for day in days)
    return next(night for night in nights if night >= earliest).astimezone(UTC)
