"""Place times on the reader's day: a scale of elapsed time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from dashboard.calendar.clock_changes import midnight_of, minute_of, offset_parts
from dashboard.calendar.working_hours import DAY
from dashboard.team.planning import DayPlan
from dashboard.team.working_spans import Interval, count_present
from dashboard.web.i18n.translations import current

STEP = 15  # minutes between the moments that the pointer shows
HOURS_BETWEEN_LABELS = 3
OVERHANG = 40  # minutes by which a bar that midnight cuts passes the edge, so that its end there is square


@dataclass(frozen=True)
class DayPart:
    """A part of the day, in percent of it."""

    x: float
    width: float

    @property
    def end(self) -> float:
        """Return where it ends."""
        return round(self.x + self.width, 3)


class DayScale:
    """The reader's day as a scale of elapsed time, so that a repeated hour has its own place."""

    def __init__(self, plan: DayPlan, day: date, zone: tzinfo) -> None:
        self.start, self.end = plan.intervals[0][0], plan.intervals[-1][1]
        self.minutes = self.end - self.start
        self.is_regular = self.minutes == DAY
        self._day, self._zone = day, zone
        self._is_rtl = current().direction == "rtl"

    @property
    def middle(self) -> int:
        """Return the minute of UTC in the middle of the day, after clocks have changed."""
        return (self.start + self.end) // 2

    def place(self, minute: int) -> float:
        """Return where a minute of UTC stands, in percent from the start of the day."""
        return round((minute - self.start) * 100 / self.minutes, 3)

    def part(self, interval: Interval) -> DayPart:
        """Return where an interval stands."""
        start, end = (self.place(minute) for minute in interval)
        return DayPart(start, round(end - start, 3))

    def bar(self, interval: Interval) -> DayPart:
        """Return a bar that passes the edges where the day cuts it."""
        start, end = interval
        return self.part((start - OVERHANG * (start == self.start), end + OVERHANG * (end == self.end)))

    def pieces(self, spans: Iterable[Sequence[Interval]]) -> list[tuple[Interval, int]]:
        """Return the parts of the day, each with the number of people at work."""
        return count_present(((intervals, 1) for intervals in spans), self.start, self.end)

    def text_place(self, minute: int) -> float:
        """Return where a text stands, from the left; shapes are mirrored by the stylesheet, texts are not."""
        place = self.place(minute)
        return round(100 - place, 3) if self._is_rtl else place

    @property
    def hours(self) -> list[tuple[float, float, str]]:
        """Return the hours of the axis: where each stands, where its text stands, and the text."""
        midnight, step = midnight_of(self._day), HOURS_BETWEEN_LABELS * 60
        moments = {
            (minute, (minute + offset - midnight) // 60)
            for start, end, offset in offset_parts(self._zone, self.start, self.end)
            for minute in range(start + (midnight - start - offset) % step, end, step)
        }
        ordered = [*sorted(moments), (self.end, 24)]
        return [(self.place(minute), self.text_place(minute), f"{hour:02}") for minute, hour in ordered]


def minute_on(scale: DayScale, now: datetime) -> int | None:
    """Return how many minutes of the day have passed, None on another day."""
    minute = minute_of(now)
    return minute - scale.start if scale.start <= minute < scale.end else None
