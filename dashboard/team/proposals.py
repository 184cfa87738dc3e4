"""Propose times to meet: when everyone is at work, or when the fewest people would have to stretch their day."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import accumulate
from typing import Literal, NamedTuple

from dashboard.calendar.clock_changes import offset_parts
from dashboard.calendar.holidays import NO_DAYS_OFF, DaysOff
from dashboard.calendar.working_hours import DAY
from dashboard.team.working_spans import STEP_MINUTES, Interval, WorkingSpans, WorkPattern, intersect

MAX_PROPOSALS = 3
MIN_DISTANCE = 30  # minutes between the starts of two proposals
FAR_FROM_EDGES = 60  # minutes; beyond them a slot is as good as any
DAY_OFF_BURDEN = 240  # minutes; a meeting on a day off weighs as much as one four hours after work
MAX_PEOPLE_TO_SHARE = 12  # people; sharing a stretch among more of them helps nobody to choose

StretchKind = Literal["early", "late", "off"]
Spans = Mapping[WorkPattern, Sequence[Interval]]


class Participant(NamedTuple):
    """A person whose zone and hours are known."""

    user_id: int
    pattern: WorkPattern


@dataclass(frozen=True)
class Stretch:
    """How far a person's working day would have to stretch for a slot; "off": the day is their day off."""

    minutes: int
    kind: StretchKind

    @property
    def burden(self) -> int:
        """Return the number by which stretches are compared."""
        return self.minutes + DAY_OFF_BURDEN * (self.kind == "off")


@dataclass(frozen=True)
class Proposal:
    """A slot in minutes of UTC, with the stretch of each person who is not at work for all of it."""

    start: int
    end: int
    stretches: Mapping[int, Stretch]  # by user id

    @property
    def outside(self) -> tuple[int, ...]:
        """Return the ids of those who are not at work for all of it."""
        return tuple(sorted(self.stretches))


class _Slot(NamedTuple):
    """A possible start, with what decides between two of them; the least tuple is the best slot."""

    outside: int
    is_past: bool
    burden: int  # of all people together
    edge_rank: int  # lower if it is farther from where anybody's day starts or ends
    start_rank: int  # 0: a whole hour, 1: a half, 2: a quarter
    start: int
    stretches: Mapping[WorkPattern, Stretch]

    @property
    def max_burden(self) -> int:
        """Return the greatest burden of one person."""
        return max((stretch.burden for stretch in self.stretches.values()), default=0)


class Proposer:
    """Compare all possible slots of one day of the reader, which is one or more intervals of UTC."""

    def __init__(
        self,
        participants: Iterable[Participant],
        intervals: Sequence[Interval],
        *,
        reader_zone: tzinfo,
        minutes: int,
        days_off: DaysOff,
        now: int,
    ) -> None:
        self._people: dict[WorkPattern, list[int]] = {}
        for person in participants:
            self._people.setdefault(person.pattern, []).append(person.user_id)
        self._minutes, self._now, self._reader_zone = minutes, now, reader_zone
        self._intervals = intervals
        # Stretches are measured from the nearest span, which may be of the day before or after.
        window = (intervals[0][0] - 2 * DAY, intervals[-1][1] + 2 * DAY)
        actual, regular = WorkingSpans(*window, days_off), WorkingSpans(*window, NO_DAYS_OFF)
        self._actual = {pattern: actual.of(pattern) for pattern in self._people}
        self._regular = {pattern: regular.of(pattern) for pattern in self._people}
        self.spans: Spans = {pattern: intersect(spans, intervals) for pattern, spans in self._actual.items()}
        self._starts = possible_starts(intervals, reader_zone, minutes)

    def proposals(self) -> list[Proposal]:
        """Return the best slots, those with fewer people outside first."""
        if not self._people or not self._starts:
            return []
        sizes = {pattern: len(ids) for pattern, ids in self._people.items()}
        counts = count_outside(sizes, self.spans, self._starts, self._minutes)
        chosen: list[_Slot] = []
        for outside in sorted(set(counts)):
            slots = [self._slot(start, count) for start, count in self._starts_with(counts) if count == outside]
            # Three slots for which the same person stays late are one answer, so prefer other people first.
            for only_other_people in (True, False) if outside else (False,):
                _choose(chosen, slots, only_other_people=only_other_people)
            if len(chosen) == MAX_PROPOSALS:
                break
        if chosen[0].outside and sum(sizes.values()) <= MAX_PEOPLE_TO_SHARE:
            self._replace_last_slot(chosen, counts)
        return [self._proposal(slot) for slot in chosen]

    def whole_spans(self, pattern: WorkPattern) -> list[Interval]:
        """Return the spans that are at least in part on the day, not cut to it."""
        first, last = self._intervals[0][0], self._intervals[-1][1]
        return [span for span in self._actual[pattern] if span[0] < last and first < span[1]]

    def _starts_with(self, counts: Sequence[int]) -> Iterable[tuple[int, int]]:
        return zip(self._starts, counts, strict=True)

    def _replace_last_slot(self, chosen: list[_Slot], counts: Sequence[int]) -> None:
        """Replace the last slot by one for which more people stretch, but each of them clearly less."""
        others = chosen[: MAX_PROPOSALS - 1]
        limit = min(slot.max_burden for slot in others) - MIN_DISTANCE
        slots = (self._slot(start, count) for start, count in self._starts_with(counts) if count > others[-1].outside)
        shared = (slot for slot in slots if slot.max_burden <= limit and _distance(slot, others) >= MIN_DISTANCE)
        if best := min(shared, key=lambda slot: (slot.max_burden, *slot[:6]), default=None):
            chosen[:] = [*others, best]

    def _slot(self, start: int, outside: int) -> _Slot:
        end = start + self._minutes
        stretches: dict[WorkPattern, Stretch] = {}
        distances = [FAR_FROM_EDGES]
        for pattern, spans in self.spans.items():
            span = next(((first, last) for first, last in spans if first <= start and end <= last), None)
            if span:
                distances.append(min(start - span[0], span[1] - end))
            else:
                stretches[pattern] = self._stretch(pattern, start, end)
        return _Slot(
            outside=outside,
            is_past=start < self._now,
            burden=sum(stretch.burden * len(self._people[pattern]) for pattern, stretch in stretches.items()),
            edge_rank=-(min(distances) // MIN_DISTANCE),
            start_rank={0: 0, 30: 1}.get(_minute_of_hour(start, self._reader_zone), 2),
            start=start,
            stretches=stretches,
        )

    def _stretch(self, pattern: WorkPattern, start: int, end: int) -> Stretch:
        stretch, regular = (_nearest(spans[pattern], start, end) for spans in (self._actual, self._regular))
        if stretch is None or (regular and regular.minutes < stretch.minutes):
            return Stretch(regular.minutes if regular else DAY, "off")
        return stretch

    def _proposal(self, slot: _Slot) -> Proposal:
        stretches = {
            user_id: stretch for pattern, stretch in slot.stretches.items() for user_id in self._people[pattern]
        }
        return Proposal(slot.start, slot.start + self._minutes, stretches)


def possible_starts(intervals: Iterable[Interval], reader_zone: tzinfo, minutes: int) -> list[int]:
    """Return the quarters of the reader's hours at which a meeting may start and still end on that day."""
    return [
        start
        for first, last in intervals
        for part_start, part_end, offset in offset_parts(reader_zone, first, last)
        for start in range(part_start + -(part_start + offset) % STEP_MINUTES, part_end, STEP_MINUTES)
        if start + minutes <= last
    ]


def count_outside(sizes: Mapping[WorkPattern, int], spans: Spans, starts: Sequence[int], minutes: int) -> list[int]:
    """Return for each start how many people are not at work for all of the meeting."""
    changes = [0] * (len(starts) + 1)
    for pattern, people in sizes.items():
        for start, end in spans[pattern]:
            first, last = bisect_left(starts, start), bisect_right(starts, end - minutes)
            if first < last:
                changes[first] -= people
                changes[last] += people
    return [sum(sizes.values()) + change for change in accumulate(changes[:-1])]


def _nearest(spans: Iterable[Interval], start: int, end: int) -> Stretch | None:
    """Return how far the nearest of the spans would have to stretch to contain the slot."""
    stretches = ((max(0, first - start), max(0, end - last)) for first, last in spans)
    best = min(stretches, key=sum, default=None)
    return best and Stretch(sum(best), "early" if best[0] > best[1] else "late")


def _choose(chosen: list[_Slot], slots: Sequence[_Slot], *, only_other_people: bool) -> None:
    """Add the best of the slots until there are enough; equal ones are spread over the day."""
    while len(chosen) < MAX_PROPOSALS:
        people = {frozenset(slot.stretches) for slot in chosen} if only_other_people else set()
        usable = [
            slot
            for slot in slots
            if _distance(slot, chosen) >= MIN_DISTANCE and frozenset(slot.stretches) not in people
        ]
        if not usable:
            return
        best = min(slot[:5] for slot in usable)
        equal = [slot for slot in usable if slot[:5] == best]
        chosen.append(max(equal, key=lambda slot: (_distance(slot, chosen), -slot.start)))
        chosen.sort(key=lambda slot: slot[:6])


def _distance(slot: _Slot, chosen: Iterable[_Slot]) -> int:
    return min((abs(slot.start - other.start) for other in chosen), default=DAY)


def _minute_of_hour(minute: int, zone: tzinfo) -> int:
    ((_start, _end, offset),) = offset_parts(zone, minute, minute + 1)
    return (minute + offset) % 60
