"""Find the next times when two people are both at work."""

from __future__ import annotations

from datetime import datetime

from dashboard.calendar.clock_changes import minute_of
from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.working_hours import DAY
from dashboard.team.working_spans import Interval, WorkingSpans, WorkPattern, intersect

MAX_DAYS = 28  # holidays may last two weeks


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
