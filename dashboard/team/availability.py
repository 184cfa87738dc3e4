"""Place groups of people with the same time zone and hours on one user's day, and find their common hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.working_hours import DAY, Span

HOUR = 60
STEP = 15  # meetings start at a quarter of an hour
NOON = DAY // 2

Band = tuple[int, int]  # minutes of the user's day, from and to


@dataclass(frozen=True)
class HoursGroup:
    """A number of people with the same time zone and hours."""

    zone: str
    span: Span
    people: int


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


def day_rows(groups: Iterable[HoursGroup], *, day: date, user_zone: tzinfo, workdays: DaysOff) -> list[DayRow]:
    """Return each group with its hours on the user's day."""
    return [DayRow(group, _bands(group.zone, group.span, day, user_zone, workdays)) for group in groups]


def people_at_work(groups: Iterable[HoursGroup], *, moment: datetime, workdays: DaysOff) -> int:
    """Return how many people are at work at a moment."""
    return sum(group.people for group in groups if _is_at_work(group, moment, workdays))


def _is_at_work(group: HoursGroup, moment: datetime, workdays: DaysOff) -> bool:
    local = moment.astimezone(ZoneInfo(group.zone))
    since_start = local.hour * 60 + local.minute - group.span.start
    # A night shift belongs to the day it starts on.
    started_on = local.date() if since_start >= 0 else local.date() - timedelta(days=1)
    return since_start % DAY < group.span.minutes and not workdays.is_off(started_on)


def count_at_work(rows: Sequence[DayRow]) -> list[tuple[Band, int]]:
    """Return the parts of the day, from midnight to midnight, each with the number of people at work."""
    changes: dict[int, int] = {0: 0, DAY: 0}
    for row in rows:
        for start, end in row.bands:
            changes[start] = changes.get(start, 0) + row.group.people
            changes[end] = changes.get(end, 0) - row.group.people
    minutes = sorted(changes)
    counts = accumulate(changes[minute] for minute in minutes)
    return list(zip(pairwise(minutes), counts, strict=False))


def common_bands(rows: Sequence[DayRow]) -> tuple[Band, ...]:
    """Return the parts of the day when everyone is at work."""
    everyone = sum(row.group.people for row in rows)
    return _merge(band for band, people in count_at_work(rows) if people == everyone) if everyone else ()


def best_hours(rows: Sequence[DayRow], *, count: int) -> list[BestHour]:
    """Return up to ``count`` hours with the most people, best first and then nearest to midday; none overlap."""
    counts = _count_by_start(rows)
    ranked = sorted(range(len(counts)), key=lambda step: (-counts[step], abs(step * STEP + HOUR // 2 - NOON)))
    best: list[BestHour] = []
    for step in ranked:
        if len(best) == count or not counts[step]:
            break
        if all(abs(step * STEP - other.start) >= HOUR for other in best):
            best.append(BestHour(step * STEP, counts[step]))
    return best


def _count_by_start(rows: Sequence[DayRow]) -> list[int]:
    """Return for each step of the day how many people are at work for the hour that starts there."""
    changes = [0] * (DAY // STEP + 1)
    for row in rows:
        for start, end in row.bands:
            first, last = -(-start // STEP), (end - HOUR) // STEP
            if first <= last:
                changes[first] += row.group.people
                changes[last + 1] -= row.group.people
    return list(accumulate(changes))[: (DAY - HOUR) // STEP + 1]


# Every page view of every user needs the same few hundred groups.
@lru_cache(maxsize=8192)
def _bands(zone: str, span: Span, day: date, user_zone: tzinfo, workdays: DaysOff) -> tuple[Band, ...]:
    day_start, day_end = _to_utc(day, 0, user_zone), _to_utc(day, DAY, user_zone)
    group_zone = ZoneInfo(zone)
    # A night shift that reaches into the user's day started the day before.
    started_on = day_start.astimezone(group_zone).date() - timedelta(days=1)
    last = day_end.astimezone(group_zone).date()
    bands = []
    while started_on <= last:
        if not workdays.is_off(started_on):
            start = max(_to_utc(started_on, span.start, group_zone), day_start)
            end = min(_to_utc(started_on, span.start + span.minutes, group_zone), day_end)
            if start < end:
                bands.append((_to_minute(start, user_zone), DAY if end == day_end else _to_minute(end, user_zone)))
        started_on += timedelta(days=1)
    return _merge(bands)


@lru_cache(maxsize=8192)
def _to_utc(day: date, minute: int, zone: tzinfo) -> datetime:
    """Return the moment of a minute of a day; minutes past midnight belong to the next day."""
    days, minute_of_day = divmod(minute, DAY)
    clock = time(minute_of_day // 60, minute_of_day % 60)
    return datetime.combine(day + timedelta(days=days), clock, zone).astimezone(UTC)


@lru_cache(maxsize=8192)
def _to_minute(moment: datetime, zone: tzinfo) -> int:
    local = moment.astimezone(zone)
    return local.hour * 60 + local.minute


def _merge(bands: Iterable[Band]) -> tuple[Band, ...]:
    """Return the bands in order, with those that touch joined; an hour that the clock repeats appears once."""
    merged: list[Band] = []
    for start, end in sorted(bands):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif start < end:
            merged.append((start, end))
    return tuple(merged)
