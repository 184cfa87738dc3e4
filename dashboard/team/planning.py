"""Plan a day for a few people: who works when, when all do, the best times to meet, and a better day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import reduce

from dashboard.calendar.clock_changes import minute_of
from dashboard.calendar.holidays import DaysOff
from dashboard.team.proposals import Participant, Proposal, Proposer, count_outside, possible_starts
from dashboard.team.working_spans import STEP_MINUTES, Interval, WorkingSpans, intersect, intervals_of_day

MIN_MINUTES, MAX_MINUTES, DEFAULT_MINUTES = 15, 480, 60
NEAREST_DAYS = 14


@dataclass(frozen=True)
class DayPlan:
    """One day of the reader: when it is, who works when, when all do, and the best slots."""

    intervals: tuple[Interval, ...]
    spans: Mapping[int, Sequence[Interval]]  # by user id, cut to the day
    whole_spans: Mapping[int, Sequence[Interval]]  # the same, not cut
    common: tuple[Interval, ...]
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True)
class BetterDay:
    """A later day with a slot for which fewer people are outside their hours."""

    day: date
    outside: int


def plan_day(
    participants: Sequence[Participant],
    *,
    day: date,
    reader_zone: tzinfo,
    minutes: int,
    days_off: DaysOff,
    now: datetime,
) -> DayPlan:
    """Return the plan of one day in the reader's zone."""
    intervals = intervals_of_day(day, reader_zone)
    if not intervals:  # when Samoa crossed the date line, it left out a day
        no_spans: dict[int, Sequence[Interval]] = {person.user_id: () for person in participants}
        return DayPlan((), no_spans, no_spans, (), ())
    proposer = Proposer(
        participants,
        intervals,
        reader_zone=reader_zone,
        minutes=minutes,
        days_off=days_off,
        now=minute_of(now),
    )
    return DayPlan(
        intervals,
        {person.user_id: proposer.spans[person.pattern] for person in participants},
        {person.user_id: proposer.whole_spans(person.pattern) for person in participants},
        common_times(proposer.spans.values()),
        tuple(proposer.proposals()),
    )


def common_times(spans: Iterable[Sequence[Interval]]) -> tuple[Interval, ...]:
    """Return when all people are at work; no intervals if there are no people."""
    span_lists = [tuple(intervals) for intervals in spans]
    return reduce(intersect, span_lists) if span_lists else ()


def better_day(
    participants: Sequence[Participant],
    *,
    after: date,
    outside: int,
    reader_zone: tzinfo,
    minutes: int,
    days_off: DaysOff,
) -> BetterDay | None:
    """Return the day of the next two weeks on which the fewest people are outside, the first of several.

    :param outside: how many are on the day itself; None is returned if no day has fewer.
    """
    days = {
        day: intervals
        for number in range(1, NEAREST_DAYS + 1)
        if (intervals := intervals_of_day(day := after + timedelta(days=number), reader_zone))
    }
    sizes = Counter(person.pattern for person in participants)
    first, last = min(days.values())[0][0], max(days.values())[-1][1]
    working_spans = WorkingSpans(first, last, days_off)
    spans = {pattern: working_spans.of(pattern) for pattern in sizes}
    # Sorted, because a day may begin before the one before it has ended: clocks go back across midnight somewhere.
    starts = sorted(
        (start, day) for day, intervals in days.items() for start in possible_starts(intervals, reader_zone, minutes)
    )
    counts = count_outside(sizes, spans, [start for start, _ in starts], minutes)
    fewest, best = min(zip(counts, (day for _, day in starts), strict=True), default=(outside, after))
    return BetterDay(best, fewest) if fewest < outside else None


def times_without(plan: DayPlan, user_ids: Sequence[int]) -> tuple[Interval, ...]:
    """Return when all people but these are at work."""
    return common_times(spans for user_id, spans in plan.spans.items() if user_id not in user_ids)


def longest_common_meeting(plan: DayPlan) -> int:
    """Return how many minutes a meeting of everyone may last, in quarters of an hour; 0 if there is none."""
    lengths = (
        (end - -(-start // STEP_MINUTES) * STEP_MINUTES) // STEP_MINUTES * STEP_MINUTES for start, end in plan.common
    )
    return max((min(length, MAX_MINUTES) for length in lengths), default=0)
