"""Place groups of people with the same time zone and hours on one user's day, and find their common hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import accumulate, groupby, pairwise

from dashboard.calendar.clock_changes import OffsetPart, midnight_of, offset_parts
from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.time_zones import zone_info
from dashboard.calendar.working_hours import DAY, Span
from dashboard.team.working_spans import STEP_MINUTES, count_present, merge

HOUR = 60
MIN_IN_COMMON = 2  # people
MAX_BEST_HOURS = 3

Band = tuple[int, int]  # minutes of the user's day, from and to
# From and to on the zone's clock, what to subtract to get minutes of the user's day, and midnights of nearby workdays.
ZonePart = tuple[int, int, int, list[int]]


@dataclass(frozen=True)
class HoursGroup:
    """A number of people with the same time zone and hours."""

    zone: str
    span: Span
    people: int
    assumed: int = 0  # of them, people whose settings are unknown, or whose time zone is the profile's


@dataclass(frozen=True)
class DayRow:
    """A group with its hours on the user's day."""

    group: HoursGroup
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class BestHour:
    """An hour of the user's day, with the number of people who are at work for all of it."""

    start: int
    people: int


@dataclass(frozen=True)
class CommonHours:
    """What people have in common on the user's day; nothing is said about fewer than two of them."""

    everyone: tuple[Band, ...] = ()
    most: Band | None = None  # the longest part of the day with as many people as any whole hour has
    people: int = 0  # at work then
    best: tuple[BestHour, ...] = ()  # at most MAX_BEST_HOURS


class UserDay:
    """One day of a user, on which the working hours of other time zones are placed to the minute.

    All times are whole minutes since the epoch, in UTC or on a zone's clock. A person is at work while the clock in
    their zone is within their hours. When clocks change, that zone may repeat an hour, which then counts twice, or
    skip one, which does not count. If the user's own clock repeats an hour, it appears once on their day; if it
    skips one, that hour appears if the person is at work just before and just after it.
    """

    def __init__(self, day: date, *, user_zone: tzinfo, days_off: DaysOff) -> None:
        self._midnight = midnight_of(day)
        days = {self._midnight + number * DAY: day + timedelta(days=number) for number in range(-3, 3)}
        self._workdays = [midnight for midnight, near_day in days.items() if not days_off.is_off(near_day)]
        self._parts = self._parts_of_day(user_zone)
        local = [(start + offset - self._midnight, end + offset - self._midnight) for start, end, offset in self._parts]
        self._skipped = [(end, start) for (_, end), (start, _) in pairwise(local) if end < start]
        self._parts_by_zone: dict[str, list[ZonePart]] = {}

    def bands(self, zone: str, span: Span) -> tuple[Band, ...]:
        """Return when a person with this zone and these hours is at work on the user's day."""
        if (parts := self._parts_by_zone.get(zone)) is None:
            parts = self._parts_by_zone[zone] = self._zone_parts(zone_info(zone))
        length = span.minutes
        bands = [
            (max(start, midnight + span.start) - shift, min(end, midnight + span.start + length) - shift)
            for start, end, shift, workdays in parts
            for midnight in workdays
            if start < midnight + span.start + length and midnight + span.start < end
        ]
        bands += (
            skipped
            for skipped in self._skipped
            if any(end == skipped[0] for _start, end in bands) and any(start == skipped[1] for start, _end in bands)
        )
        return tuple(bands) if len(bands) < 2 else merge(bands)

    def _parts_of_day(self, user_zone: tzinfo) -> list[OffsetPart]:
        """Return the parts of the user's day, each with one offset."""
        parts = (
            (max(start, self._midnight - offset), min(end, self._midnight + DAY - offset), offset)
            for start, end, offset in offset_parts(user_zone, self._midnight - DAY, self._midnight + 2 * DAY)
        )
        return [part for part in parts if part[0] < part[1]]

    def _zone_parts(self, zone: tzinfo) -> list[ZonePart]:
        return [
            (
                start + offset,
                end + offset,
                self._midnight + offset - user_offset,
                self._workdays_near(start + offset, end + offset),
            )
            for first, last, user_offset in self._parts
            for start, end, offset in offset_parts(zone, first, last)
        ]

    def _workdays_near(self, start: int, end: int) -> list[int]:
        # Hours start on the day or at the midnight that ends it, and last a day at most.
        return [midnight for midnight in self._workdays if start - 2 * DAY < midnight < end]


def day_rows(groups: Iterable[HoursGroup], *, day: date, user_zone: tzinfo, days_off: DaysOff) -> list[DayRow]:
    """Return each group with its hours on the user's day."""
    return rows_on(UserDay(day, user_zone=user_zone, days_off=days_off), groups)


def rows_on(user_day: UserDay, groups: Iterable[HoursGroup]) -> list[DayRow]:
    """Return each group with its hours on a day that other hours are placed on, too."""
    return [DayRow(group, user_day.bands(group.zone, group.span)) for group in groups]


def people_at_work(groups: Iterable[HoursGroup], *, moment: datetime, days_off: DaysOff) -> int:
    """Return how many people are at work at a moment."""
    # UTC never repeats or skips an hour.
    now = moment.astimezone(UTC)
    minute = now.hour * 60 + now.minute
    rows = day_rows(groups, day=now.date(), user_zone=UTC, days_off=days_off)
    return sum(row.group.people for row in rows if any(start <= minute < end for start, end in row.bands))


def count_at_work(rows: Sequence[DayRow]) -> list[tuple[Band, int]]:
    """Return the parts of the day, from midnight to midnight, each with the number of people at work."""
    return count_present(((row.bands, row.group.people) for row in rows), 0, DAY)


def common_hours(rows: Sequence[DayRow]) -> CommonHours:
    """Return the hours that people have in common; one person has none in common with anybody."""
    total = sum(row.group.people for row in rows)
    if total < MIN_IN_COMMON:
        return CommonHours()
    pieces, counts = count_at_work(rows), _count_by_start(rows)
    everyone, most = merge(band for band, people in pieces if people == total), max(counts)
    if most < MIN_IN_COMMON:
        return CommonHours(everyone)
    bands = merge(band for band, people in pieces if people >= most)
    longest = max((end - start for start, end in bands), default=0)
    return CommonHours(
        everyone=everyone,
        # The longest, and the first of equally long ones, are the same for users in all time zones.
        most=next(band for band in bands if band[1] - band[0] == longest),
        people=most,
        best=_best_hours(counts),
    )


def _best_hours(counts: Sequence[int]) -> tuple[BestHour, ...]:
    """Return the hours with the most people, best first and then in the middle of a longer time; none overlap."""
    rank_by_step: dict[int, tuple[int, int, float]] = {}
    for people, run in groupby(range(len(counts)), key=lambda step: counts[step]):
        steps = list(run)
        middle = (steps[0] + steps[-1]) / 2
        rank_by_step |= {step: (-people, -len(steps), abs(step - middle)) for step in steps}
    best: list[BestHour] = []
    for step in sorted(rank_by_step, key=lambda step: rank_by_step[step]):
        if len(best) == MAX_BEST_HOURS or counts[step] < MIN_IN_COMMON:
            break
        if all(abs(step * STEP_MINUTES - other.start) >= HOUR for other in best):
            best.append(BestHour(step * STEP_MINUTES, counts[step]))
    return tuple(best)


def _count_by_start(rows: Sequence[DayRow]) -> list[int]:
    """Return for each step of the day how many people are at work for the hour that starts there."""
    changes = [0] * (DAY // STEP_MINUTES + 1)
    for row in rows:
        for start, end in row.bands:
            first, last = -(-start // STEP_MINUTES), (end - HOUR) // STEP_MINUTES
            if first <= last:
                changes[first] += row.group.people
                changes[last + 1] -= row.group.people
    return list(accumulate(changes))[: (DAY - HOUR) // STEP_MINUTES + 1]
