"""Find when the clocks of a time zone change, to the minute, and its offset between the changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from dashboard.calendar.working_hours import DAY

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSET_STEP = 6 * 60  # no zone changes its clocks twice within this time
# Changes are found for this many minutes at once, because most pages compute with the same few weeks.
BLOCK = 64 * DAY

OffsetPart = tuple[int, int, int]  # from and to in minutes of UTC since the epoch, and the offset in minutes


class ClockChange(NamedTuple):
    """A change of a zone's clocks: the minute of UTC, and the offsets in minutes before and after it."""

    minute: int
    before: int
    after: int

    @property
    def day(self) -> date:
        """Return the day that the old clock shows; at midnight a clock that goes back repeats the end of a day."""
        return day_of(self.minute + self.before)


def minute_of(moment: datetime) -> int:
    """Return the minutes of UTC since the epoch, rounded down."""
    return (moment - EPOCH) // timedelta(minutes=1)


def moment_of(minute: int) -> datetime:
    """Return the moment of a minute of UTC since the epoch."""
    return EPOCH + timedelta(minutes=minute)


def day_of(local_minute: int) -> date:
    """Return the day of a minute of a zone's clock, counted since the epoch."""
    return EPOCH.date() + timedelta(days=local_minute // DAY)


def midnight_of(day: date) -> int:
    """Return the minutes from the epoch to the midnight that begins the day, both on one clock."""
    return (day - EPOCH.date()).days * DAY


def offset_parts(zone: tzinfo, start: int, end: int) -> list[OffsetPart]:
    """Return a part for each offset that the zone has between two minutes of UTC."""
    parts: list[OffsetPart] = []
    part_start, offset = start, _block(zone, start // BLOCK)[0]
    for number in range(start // BLOCK, (end - 1) // BLOCK + 1):
        for change in _block(zone, number)[1]:
            if change.minute <= start:
                offset = change.after
            elif change.minute < end:
                parts.append((part_start, change.minute, offset))
                part_start, offset = change.minute, change.after
    return [*parts, (part_start, end, offset)] if part_start < end else parts


def clock_changes(zone: tzinfo, start: int, end: int) -> list[ClockChange]:
    """Return the changes of the zone's clocks from one minute of UTC to before another."""
    blocks = (_block(zone, number)[1] for number in range((start - 1) // BLOCK, (end - 1) // BLOCK + 1))
    return [change for changes in blocks for change in changes if start <= change.minute < end]


# It has room for every zone at a few times of the year; a block takes about half a millisecond.
@lru_cache(maxsize=4096)
def _block(zone: tzinfo, number: int) -> tuple[int, tuple[ClockChange, ...]]:
    """Return the zone's offset at the start of a block, and the changes after it, up to the end of the block."""
    start = number * BLOCK
    first = offset = _offset_minutes(zone, start)
    changes: list[ClockChange] = []
    for minute in range(start + OFFSET_STEP, start + BLOCK + 1, OFFSET_STEP):
        if (new_offset := _offset_minutes(zone, minute)) != offset:
            low, high = minute - OFFSET_STEP, minute
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset_minutes(zone, middle) == offset else (low, middle)
            changes.append(ClockChange(high, offset, new_offset))
            offset = new_offset
    return first, tuple(changes)


def _offset_minutes(zone: tzinfo, minute: int) -> int:
    """Return the zone's offset, rounded down to a minute; some zones had offsets with seconds until 1972."""
    offset = moment_of(minute).astimezone(zone).utcoffset() or timedelta()
    return offset // timedelta(minutes=1)
