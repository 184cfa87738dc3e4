"""Tell what changes of clocks in the next four weeks do to a meeting that is held every week."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from dashboard.calendar.clock_changes import clock_changes, midnight_of, offset_parts
from dashboard.calendar.holidays import NO_DAYS_OFF
from dashboard.calendar.time_zones import zone_info
from dashboard.calendar.working_hours import DAY
from dashboard.team.availability import Band
from dashboard.team.planning import common_times
from dashboard.team.proposals import Participant, Proposal
from dashboard.team.working_spans import Interval, WorkingSpans, WorkPattern, intersect, intervals_of_day

WEEKS = 4
FIRST_WEEK = 1  # the index of the day itself among the compared days


@dataclass(frozen=True)
class ZoneChange:
    """The day on which the clocks of a zone change, and by how many minutes they go forward."""

    zone: str
    day: date
    minutes: int


@dataclass(frozen=True)
class WeeklyChange:
    """The changes between two weekly meetings, and when everyone is at work on the day of each."""

    changes: tuple[ZoneChange, ...]
    day: date  # of the first meeting after them
    before: tuple[Band, ...]
    after: tuple[Band, ...]

    @property
    def last_day_before(self) -> date:
        """Return the last day before the first of the changes."""
        return min(change.day for change in self.changes) - timedelta(days=1)


class WeeklyMeeting:
    """A day, and the same day of the following weeks, as if none of them were a day off."""

    def __init__(self, participants: Sequence[Participant], day: date, reader_zone: tzinfo) -> None:
        self._participants = participants
        self._reader_zone = reader_zone
        # The meeting before the day is there to compare with, if clocks change on the day itself.
        self._days = [day + timedelta(weeks=number) for number in range(-1, WEEKS + 1)]
        self._intervals = [intervals_of_day(day, reader_zone) for day in self._days]
        self._spans: dict[int, dict[WorkPattern, tuple[Interval, ...]]] = {}
        self.changes = tuple(self._changes())

    def works_until(self, proposal: Proposal) -> date | None:
        """Return the last day on which the proposal still suits the same people.

        This is the day before the clock change that breaks it; None if none of the changes does.
        """
        start = self._local_minute(proposal.start, FIRST_WEEK)
        length = proposal.end - proposal.start
        allowed = self._outside(FIRST_WEEK, proposal.start, length)
        for change in self.changes:
            week = self._days.index(change.day)
            moment = self._moment(week, start)
            if moment is None or self._outside(week, moment, length) - allowed:
                return change.last_day_before
        return None

    def _changes(self) -> Iterable[WeeklyChange]:
        if not all(self._intervals):
            return
        start = self._intervals[FIRST_WEEK][0][0]
        zones = {person.pattern.zone for person in self._participants}
        if name := getattr(self._reader_zone, "key", None):
            zones.add(name)
        for week in range(FIRST_WEEK, len(self._days)):
            end = self._intervals[week][-1][1]
            changes = [change for zone in sorted(zones) for change in _zone_changes(zone, start, end)]
            if changes:
                changes.sort(key=lambda change: (change.day, change.zone))
                yield WeeklyChange(tuple(changes), self._days[week], self._common(week - 1), self._common(week))
            start = end

    def _spans_of(self, week: int) -> dict[WorkPattern, tuple[Interval, ...]]:
        if (spans := self._spans.get(week)) is None:
            intervals = self._intervals[week]
            working_spans = WorkingSpans(intervals[0][0], intervals[-1][1], NO_DAYS_OFF)
            patterns = {person.pattern for person in self._participants}
            spans = self._spans[week] = {
                pattern: intersect(working_spans.of(pattern), intervals) for pattern in patterns
            }
        return spans

    def _common(self, week: int) -> tuple[Band, ...]:
        """Return when everyone is at work on the day of a week, on the reader's clock."""
        common = common_times(self._spans_of(week).values())
        return tuple((self._local_minute(start, week), self._local_minute(end - 1, week) + 1) for start, end in common)

    def _outside(self, week: int, start: int, length: int) -> set[int]:
        spans = self._spans_of(week)
        return {
            person.user_id
            for person in self._participants
            if not any(first <= start and start + length <= last for first, last in spans[person.pattern])
        }

    def _local_minute(self, minute: int, week: int) -> int:
        ((_start, _end, offset),) = offset_parts(self._reader_zone, minute, minute + 1)
        return minute + offset - midnight_of(self._days[week])

    def _moment(self, week: int, local_minute: int) -> int | None:
        """Return when the reader's clock shows a minute on the day of a week; None if the clock skips it."""
        local = midnight_of(self._days[week]) + local_minute
        parts = offset_parts(self._reader_zone, local - DAY, local + DAY)
        return next((local - offset for start, end, offset in parts if start <= local - offset < end), None)


def _zone_changes(zone: str, start: int, end: int) -> Iterable[ZoneChange]:
    for change in clock_changes(zone_info(zone), start, end):
        yield ZoneChange(zone, change.day, change.after - change.before)
