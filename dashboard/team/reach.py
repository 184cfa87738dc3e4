"""Tell when a colleague can be reached: their hours, and the next times when they and the reader are both at work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dashboard.calendar.clock_changes import clock_changes, midnight_of, minute_of, offset_parts
from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.time_zones import zone_info
from dashboard.calendar.working_hours import DAY
from dashboard.team.working_spans import Interval, WorkingSpans, WorkPattern, intersect

MAX_DAYS = 28  # holidays may last two weeks


@dataclass(frozen=True)
class WorkingDay:
    """A day of a colleague, in their time zone, and their hours that begin on it."""

    day: date
    hours: Interval


@dataclass(frozen=True)
class TimeDifferenceChange:
    """A change of clocks that changes the time difference between two zones."""

    zone: str  # whose clocks change
    day: date
    minutes_ahead: int  # how far the colleague's clock is then ahead of the reader's


@dataclass(frozen=True)
class Reach:
    """When a colleague can be reached."""

    is_at_work: bool
    is_day_off: bool  # today in their time zone
    current_or_next: WorkingDay | None
    next_day: WorkingDay | None  # the first after today
    common: tuple[Interval, ...]  # the next two times when both are at work; the first may have begun

    @property
    def changes_at(self) -> int | None:
        """Return the minute from which some of this is no longer true."""
        hours = self.current_or_next.hours if self.current_or_next else None
        ends = [hours[1] if self.is_at_work else hours[0]] if hours else []
        ends += [interval[1] for interval in self.common[:1]]
        return min(ends, default=None)


def compute_reach(colleague: WorkPattern, reader: WorkPattern | None, *, moment: datetime, days_off: DaysOff) -> Reach:
    """Return when the colleague can be reached; without common times if the reader's hours are unknown."""
    now, today = minute_of(moment), moment.astimezone(zone_info(colleague.zone)).date()
    days = list(_working_days(colleague, today, days_off))
    upcoming = [day for day in days if day.hours[1] > now]
    return Reach(
        is_at_work=any(day.hours[0] <= now for day in upcoming),
        is_day_off=days_off.is_off(today),
        current_or_next=min(upcoming, key=lambda day: day.hours, default=None),
        next_day=next((day for day in days if day.day > today), None),
        common=next_common_times(colleague, reader, moment=moment, days_off=days_off) if reader else (),
    )


def next_common_times(
    one: WorkPattern, other: WorkPattern, *, moment: datetime, days_off: DaysOff, count: int = 2
) -> tuple[Interval, ...]:
    """Return the next intervals, in minutes of UTC, during which both are at work; none if there are none soon.

    The first one has begun already if both are at work at the moment.
    """
    now = minute_of(moment)
    # Days before the moment show when an interval has begun.
    spans = WorkingSpans(now - 2 * DAY, now + MAX_DAYS * DAY, days_off)
    common = intersect(spans.of(one), spans.of(other))
    return tuple(interval for interval in common if interval[1] > now)[:count]


def next_time_difference_change(colleague: str, reader: str, *, moment: datetime) -> TimeDifferenceChange | None:
    """Return the next change of the time difference between two zones, None if there is none within four weeks."""
    start = minute_of(moment)
    end = start + MAX_DAYS * DAY
    difference = _minutes_ahead(colleague, reader, start)
    changes = sorted(
        (change, zone) for zone in {colleague, reader} for change in clock_changes(zone_info(zone), start, end)
    )
    for change, zone in changes:
        if (ahead := _minutes_ahead(colleague, reader, change.minute)) != difference:
            return TimeDifferenceChange(zone, change.day, ahead)
    return None


def _minutes_ahead(colleague: str, reader: str, minute: int) -> int:
    offsets = (offset_parts(zone_info(zone), minute, minute + 1)[0][2] for zone in (colleague, reader))
    return next(offsets) - next(offsets)


def _working_days(pattern: WorkPattern, today: date, days_off: DaysOff) -> Iterator[WorkingDay]:
    """Yield the working days from yesterday on, whose hours may last until today."""
    zone = zone_info(pattern.zone)
    for number in range(-1, MAX_DAYS):
        day = today + timedelta(days=number)
        if days_off.is_off(day):
            continue
        first = midnight_of(day) + pattern.span.start
        last = first + pattern.span.minutes
        # An offset is less than a day.
        parts = [
            (max(start, first - offset), min(end, last - offset))
            for start, end, offset in offset_parts(zone, first - DAY, last + DAY)
            if max(start, first - offset) < min(end, last - offset)
        ]
        if parts:  # clocks that go forward may skip short hours
            yield WorkingDay(day, (parts[0][0], parts[-1][1]))
