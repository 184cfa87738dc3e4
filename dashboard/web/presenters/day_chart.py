"""Prepare the chart of the team's day: a row for each of the largest groups, and one for all the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from itertools import groupby

from dashboard.calendar.holidays import NO_DAYS_OFF, DaysOff
from dashboard.team import availability
from dashboard.team.availability import Band, BestHour, DayRow, HoursGroup
from dashboard.web.presenters.filters import minutes_in

MAX_ROWS = 8
SHADES = 10


@dataclass(frozen=True)
class OtherGroups:
    """The groups without a row of their own, by the parts of the day when some of their people are at work."""

    groups: int
    people: int
    pieces: tuple[tuple[Band, float], ...]  # with the share of the people, rounded to one of SHADES
    at_work: tuple[tuple[Band, int], ...]  # with the number of people


@dataclass(frozen=True)
class DayChart:
    """One day of the user."""

    day: date
    is_off: bool  # then the chart shows a regular day
    rows: Sequence[DayRow]
    others: OtherGroups | None
    common: tuple[Band, ...]
    best: BestHour | None
    people: int
    now: int | None  # minute of the day, None on another day


def build(groups: Sequence[HoursGroup], *, day: date, now: datetime, user_zone: tzinfo, workdays: DaysOff) -> DayChart:
    """Return the chart of a day; on a day off it shows a regular day."""
    is_off = workdays.is_off(day)
    rows = availability.day_rows(groups, day=day, user_zone=user_zone, workdays=NO_DAYS_OFF if is_off else workdays)
    people = sum(group.people for group in groups)
    rows.sort(key=lambda row: (-row.group.people, row.group.zone, row.group.span.start, row.group.span.end))
    # A row for one other group would need as much room as that group's own row.
    row_count = len(rows) if len(rows) == MAX_ROWS + 1 else MAX_ROWS
    return DayChart(
        day=day,
        is_off=is_off,
        rows=sorted(rows[:row_count], key=_start_of_work),
        others=_others(rows[row_count:]),
        # One person has no hours in common with anybody.
        common=availability.common_bands(rows) if people > 1 else (),
        best=next(iter(availability.best_hours(rows, count=1)), None) if people > 1 else None,
        people=people,
        now=minutes_in(now, user_zone) if now.astimezone(user_zone).date() == day else None,
    )


def _start_of_work(row: DayRow) -> tuple[int, int, str]:
    # A night shift that started yesterday continues at midnight; its own start today is the later band.
    starts = [start for start, _end in row.bands if start > 0] or [0]
    return (starts[0], -row.group.people, row.group.zone)


def _others(rows: Sequence[DayRow]) -> OtherGroups | None:
    people = sum(row.group.people for row in rows)
    if not people:
        return None
    counts = availability.count_at_work(rows)
    shades = groupby(counts, key=lambda piece: round(piece[1] / people * SHADES) / SHADES)
    # Neighbors of the same shade are one piece.
    merged = [(share, [band for band, _count in pieces]) for share, pieces in shades]
    pieces = tuple(((bands[0][0], bands[-1][1]), share) for share, bands in merged if share)
    return OtherGroups(len(rows), people, pieces, tuple((band, count) for band, count in counts if count))
