"""Find the spans of time during which people work, in minutes of UTC, what they share, and how many are at work."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, tzinfo
from itertools import accumulate, pairwise
from typing import NamedTuple

from dashboard.calendar.clock_changes import day_of, midnight_of, offset_parts
from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.time_zones import zone_info
from dashboard.calendar.working_hours import DAY, Span

STEP_MINUTES = 15  # meetings start at a quarter of an hour

Interval = tuple[int, int]  # from and to, in minutes of UTC since the epoch


class WorkPattern(NamedTuple):
    """The zone and the hours that tell when a person works."""

    zone: str
    span: Span


class WorkingSpans:
    """The working spans of any pattern between two minutes of UTC.

    A person is at work while the clock in their zone is within their hours, so an hour that the clock repeats counts
    twice, and one that it skips does not count. Hours belong to the local day on which they start, and fall away on
    the portal's days off.
    """

    def __init__(self, start: int, end: int, days_off: DaysOff) -> None:
        self._start, self._end = start, end
        self._days_off = days_off
        self._is_off: dict[int, bool] = {}
        self._spans: dict[WorkPattern, tuple[Interval, ...]] = {}

    def of(self, pattern: WorkPattern) -> tuple[Interval, ...]:
        """Return the spans in their order, cut to the time between the two minutes."""
        if (spans := self._spans.get(pattern)) is None:
            spans = self._spans[pattern] = merge(self._parts(pattern))
        return spans

    def _parts(self, pattern: WorkPattern) -> Iterable[Interval]:
        first, length = pattern.span.start, pattern.span.minutes
        for start, end, offset in offset_parts(zone_info(pattern.zone), self._start, self._end):
            local_start, local_end = start + offset, end + offset
            midnight = (local_start - first - length) // DAY * DAY + DAY
            while midnight + first < local_end:
                if not self._is_day_off(midnight):
                    span_start, span_end = midnight + first, midnight + first + length
                    yield max(span_start, local_start) - offset, min(span_end, local_end) - offset
                midnight += DAY

    def _is_day_off(self, midnight: int) -> bool:
        if (is_off := self._is_off.get(midnight)) is None:
            is_off = self._is_off[midnight] = self._days_off.is_off(day_of(midnight))
        return is_off


def intervals_of_day(day: date, zone: tzinfo) -> tuple[Interval, ...]:
    """Return when it is that day in the zone: one interval, unless clocks go back across its midnight."""
    midnight = midnight_of(day)
    parts = offset_parts(zone, midnight - DAY, midnight + 2 * DAY)
    return merge((max(start, midnight - offset), min(end, midnight + DAY - offset)) for start, end, offset in parts)


def merge(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the intervals in order, and join those that touch or overlap; empty ones are left out."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def intersect(first: Sequence[Interval], second: Sequence[Interval]) -> tuple[Interval, ...]:
    """Return what two lists of intervals have in common."""
    common: list[Interval] = []
    one = other = 0
    while one < len(first) and other < len(second):
        start, end = max(first[one][0], second[other][0]), min(first[one][1], second[other][1])
        if start < end:
            common.append((start, end))
        if first[one][1] < second[other][1]:
            one += 1
        else:
            other += 1
    return tuple(common)


def count_present(spans: Iterable[tuple[Sequence[Interval], int]], start: int, end: int) -> list[tuple[Interval, int]]:
    """Return the parts of the time between two minutes, each with the number of people whose spans it is in."""
    changes: dict[int, int] = {start: 0, end: 0}
    for intervals, people in spans:
        for first, last in intervals:
            changes[first] = changes.get(first, 0) + people
            changes[last] = changes.get(last, 0) - people
    minutes = sorted(changes)
    counts = accumulate(changes[minute] for minute in minutes)
    return list(zip(pairwise(minutes), counts, strict=False))


def counts_at(pieces: Sequence[tuple[Interval, int]], minutes: Iterable[int]) -> list[int]:
    """Return how many people there are at each of the minutes, given their number in each part of the time."""
    starts = [start for (start, _end), _people in pieces]
    return [pieces[bisect_right(starts, minute) - 1][1] for minute in minutes]
