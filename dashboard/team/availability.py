"""Who works when: groups of people with one zone and one span of hours, laid over a reader's day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

from dashboard.calendar.holidays import Workdays
from dashboard.calendar.working_hours import DAY, Span

HOUR = 60
STEP = 15  # a meeting begins on a quarter of an hour
NOON = DAY // 2

Band = tuple[int, int]  # minutes of the reader's day, from and to


@dataclass(frozen=True)
class HoursGroup:
    """People who keep the same hours by the same clock."""

    zone: str
    span: Span
    people: int


@dataclass(frozen=True)
class DayRow:
    """A group, and where its hours lie in the reader's day."""

    group: HoursGroup
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class BestHour:
    """The hour of the reader's day at which most people are at work from its beginning to its end."""

    start: int
    people: int


def rows(groups: Iterable[HoursGroup], *, day: date, reader: tzinfo, workdays: Workdays) -> list[DayRow]:
    """Return each group with its bands on the reader's day."""
    return [DayRow(group, _bands(group.zone, group.span, day, reader, workdays)) for group in groups]


def at_work(group: HoursGroup, *, moment: datetime, workdays: Workdays) -> bool:
    """Tell whether the group is at work at that moment; a night's work belongs to the day it began."""
    local = moment.astimezone(ZoneInfo(group.zone))
    minute, span = local.hour * 60 + local.minute, group.span
    today_off = workdays.is_off(local.date())
    if span.start < span.end:
        return span.start <= minute < span.end and not today_off
    if minute >= span.start:
        return not today_off
    return minute < span.end and not workdays.is_off(local.date() - timedelta(days=1))


def covered(found: Sequence[DayRow]) -> list[tuple[Band, int]]:
    """Return the day in pieces, from midnight to midnight, each with the number of people at work."""
    changes: dict[int, int] = {0: 0, DAY: 0}
    for row in found:
        for start, end in row.bands:
            changes[start] = changes.get(start, 0) + row.group.people
            changes[end] = changes.get(end, 0) - row.group.people
    minutes = sorted(changes)
    counts = accumulate(changes[minute] for minute in minutes)
    return list(zip(pairwise(minutes), counts, strict=False))


def shared(found: Sequence[DayRow]) -> tuple[Band, ...]:
    """Return the parts of the day when every group is at work."""
    everyone = sum(row.group.people for row in found)
    if not everyone:
        return ()
    return _joined(band for band, people in covered(found) if people == everyone)


def best_hour(found: Sequence[DayRow]) -> BestHour | None:
    """Return the best common hour, the one nearest to midday among equals; None when nobody works."""
    return next(iter(best_hours(found, count=1)), None)


def best_hours(found: Sequence[DayRow], *, count: int) -> list[BestHour]:
    """Return so many of the best common hours, best first; none begins within another, none is empty."""
    counts = _hour_counts(found)
    ranked = sorted(range(len(counts)), key=lambda step: (-counts[step], abs(step * STEP + HOUR // 2 - NOON)))
    best: list[BestHour] = []
    for step in ranked:
        if len(best) == count or not counts[step]:
            break
        if all(abs(step * STEP - other.start) >= HOUR for other in best):
            best.append(BestHour(step * STEP, counts[step]))
    return best


def _hour_counts(found: Sequence[DayRow]) -> list[int]:
    """Return how many people are at work through the hour that begins at each step of the day."""
    changes = [0] * (DAY // STEP + 1)
    for row in found:
        for start, end in row.bands:
            first, last = -(-start // STEP), (end - HOUR) // STEP
            if first <= last:
                changes[first] += row.group.people
                changes[last + 1] -= row.group.people
    return list(accumulate(changes))[: (DAY - HOUR) // STEP + 1]


# The same few hundred groups are drawn for everybody who looks, all day long.
@lru_cache(maxsize=8192)
def _bands(zone: str, span: Span, day: date, reader: tzinfo, workdays: Workdays) -> tuple[Band, ...]:
    opens, closes = _moment(day, 0, reader), _moment(day, DAY, reader)
    there = ZoneInfo(zone)
    # A night's work that reaches into the reader's day began the day before.
    began = opens.astimezone(there).date() - timedelta(days=1)
    ended = closes.astimezone(there).date()
    found = []
    while began <= ended:
        if not workdays.is_off(began):
            start = max(_moment(began, span.start, there), opens)
            end = min(_moment(began, span.start + span.minutes, there), closes)
            if start < end:
                found.append((_minute(start, reader), DAY if end == closes else _minute(end, reader)))
        began += timedelta(days=1)
    return _joined(found)


@lru_cache(maxsize=8192)
def _moment(day: date, minute: int, zone: tzinfo) -> datetime:
    """Return when a clock shows that minute of that day; minutes past midnight are the next day's."""
    days, rest = divmod(minute, DAY)
    clock = time(rest // 60, rest % 60)
    return datetime.combine(day + timedelta(days=days), clock, zone).astimezone(UTC)


@lru_cache(maxsize=8192)
def _minute(moment: datetime, zone: tzinfo) -> int:
    local = moment.astimezone(zone)
    return local.hour * 60 + local.minute


def _joined(bands: Iterable[Band]) -> tuple[Band, ...]:
    """Return the bands in order, those that touch made one; an hour the clock repeats is shown once."""
    found: list[Band] = []
    for start, end in sorted(bands):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif start < end:
            found.append((start, end))
    return tuple(found)
