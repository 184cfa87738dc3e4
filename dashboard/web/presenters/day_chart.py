"""The picture of the team's day: the largest groups a row each, the others summed up in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from itertools import groupby

from dashboard.calendar.holidays import EVERY_DAY_WORKS, Workdays
from dashboard.team import availability
from dashboard.team.availability import Band, BestHour, DayRow, HoursGroup

MAX_ROWS = 8  # as many as the eye compares
SHADES = 10  # as many as it tells apart


@dataclass(frozen=True)
class OtherGroups:
    """The groups without a row of their own: the pieces of the day when some of their people are at work.

    ``pieces`` has the share of them, rounded to what the eye tells apart; ``at_work`` has their number.
    """

    groups: int
    people: int
    pieces: tuple[tuple[Band, float], ...]
    at_work: tuple[tuple[Band, int], ...]


@dataclass(frozen=True)
class DayChart:
    """One day as the reader's clock shows it. ``now`` is its minute where that day is today."""

    day: date
    is_off: bool  # then the hours are those of a usual day
    rows: Sequence[DayRow]
    others: OtherGroups | None
    shared: tuple[Band, ...]
    best: BestHour | None
    people: int
    now: int | None


def draw(groups: Sequence[HoursGroup], *, day: date, now: datetime, reader: tzinfo, workdays: Workdays) -> DayChart:
    """Return the picture of a day; on a day off it is that of a usual day, marked so."""
    is_off = workdays.is_off(day)
    rows = availability.rows(groups, day=day, reader=reader, workdays=EVERY_DAY_WORKS if is_off else workdays)
    rows.sort(key=lambda row: (-row.group.people, row.group.zone, row.group.span.start, row.group.span.end))
    # A row that sums up one group takes as much room as the group itself and says less.
    own = len(rows) if len(rows) == MAX_ROWS + 1 else MAX_ROWS
    here = now.astimezone(reader)
    return DayChart(
        day=day,
        is_off=is_off,
        rows=sorted(rows[:own], key=_begins),
        others=_rest(rows[own:]),
        shared=availability.shared(rows),
        best=availability.best_hour(rows),
        people=sum(group.people for group in groups),
        now=here.hour * 60 + here.minute if here.date() == day else None,
    )


def at_work(groups: Sequence[HoursGroup], *, now: datetime, workdays: Workdays) -> int:
    """Return how many people are at work at this moment."""
    return sum(group.people for group in groups if availability.at_work(group, moment=now, workdays=workdays))


def _begins(row: DayRow) -> tuple[int, int, str]:
    """Order rows as their days begin, so that the picture reads like stairs."""
    # A night that began yesterday goes on at midnight; its day still begins with the later band.
    starts = [start for start, _end in row.bands if start > 0] or [0]
    return (starts[0], -row.group.people, row.group.zone)


def _rest(rows: Sequence[DayRow]) -> OtherGroups | None:
    people = sum(row.group.people for row in rows)
    if not people:
        return None
    counts = availability.covered(rows)
    shares = ((band, round(count / people * SHADES) / SHADES) for band, count in counts)
    at_work = tuple((band, count) for band, count in counts if count)
    return OtherGroups(len(rows), people, tuple(_pieces(shares)), at_work)


def _pieces(shares: Iterable[tuple[Band, float]]) -> Iterator[tuple[Band, float]]:
    """Yield the pieces that show, neighbours of one shade as one."""
    for share, pieces in groupby(shares, key=lambda piece: piece[1]):
        bands_of = [band for band, _share in pieces]
        if share:
            yield (bands_of[0][0], bands_of[-1][1]), share
