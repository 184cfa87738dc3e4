"""Plan a day: who works when, and the best times to meet, compared with asking zoneinfo about every minute."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from dashboard.calendar.clock_changes import clock_changes, minute_of, moment_of, offset_parts
from dashboard.calendar.holidays import NO_DAYS_OFF, DaysOff, parse_days_off
from dashboard.calendar.working_hours import DAY, Span
from dashboard.team.planning import DayPlan, better_day, longest_common_meeting, plan_day, times_without
from dashboard.team.proposals import Participant, Stretch
from dashboard.team.reach import next_common_times
from dashboard.team.weekly_changes import WeeklyMeeting
from dashboard.team.working_spans import Interval, WorkPattern

ZONES = (
    *("UTC", "Europe/Kyiv", "Europe/Berlin", "Europe/London", "Europe/Lisbon", "Europe/Moscow", "Europe/Istanbul"),
    *("Europe/Dublin", "Europe/Chisinau", "Atlantic/Azores", "Atlantic/Reykjavik", "America/Sao_Paulo"),
    *("America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles"),
    *("America/Anchorage", "America/Adak", "America/St_Johns", "America/Halifax", "America/Havana", "America/Santiago"),
    *("America/Asuncion", "America/Caracas", "America/Nuuk", "America/Scoresbysund", "Pacific/Honolulu"),
    *("Pacific/Marquesas", "Pacific/Pago_Pago", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Chatham"),
    *("Pacific/Auckland", "Pacific/Norfolk", "Pacific/Easter", "Australia/Lord_Howe", "Australia/Sydney"),
    *("Australia/Adelaide", "Australia/Darwin", "Australia/Eucla", "Asia/Tokyo", "Asia/Kolkata", "Asia/Kathmandu"),
    *("Asia/Yangon", "Asia/Tehran", "Asia/Kabul", "Asia/Beirut", "Asia/Gaza", "Asia/Jerusalem", "Africa/Casablanca"),
    *("Africa/Cairo", "Africa/Lagos", "Africa/Johannesburg", "Antarctica/Troll", "Antarctica/Macquarie"),
)
# The reader's zone and day: each with a change of clocks, the end of a year, or a day that hardly exists.
DAYS = (
    ("Europe/Kyiv", date(2026, 12, 3)),
    ("Europe/Kyiv", date(2027, 3, 28)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/St_Johns", date(2026, 10, 25)),
    ("America/St_Johns", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2027, 4, 4)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/Havana", date(2026, 11, 1)),
    ("America/Santiago", date(2026, 9, 6)),  # begins at one o'clock
    ("Asia/Beirut", date(2026, 3, 29)),
    ("Asia/Gaza", date(2026, 3, 28)),
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Africa/Casablanca", date(2027, 2, 7)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Antarctica/Troll", date(2027, 3, 28)),  # two hours at once
    ("Pacific/Apia", date(2011, 12, 29)),
    ("Pacific/Apia", date(2011, 12, 31)),
    ("Pacific/Kiritimati", date(2027, 1, 1)),
    ("Pacific/Pago_Pago", date(2026, 12, 31)),
    ("Asia/Kathmandu", date(2028, 2, 29)),
    ("America/Los_Angeles", date(2028, 2, 29)),
    ("UTC", date(2027, 1, 1)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/St_Johns", date(2010, 11, 6)),  # clocks went back across midnight
)
SPANS = (
    *(Span(540, 1080), Span(1320, 360), Span(0, 1440), Span(480, 480), Span(0, 0), Span(90, 135), Span(105, 150)),
    *(Span(0, 30), Span(1410, 1440), Span(607, 1041), Span(1200, 1199), Span(150, 1440), Span(1439, 2), Span(720, 180)),
)
PORTAL = parse_days_off({"week_holidays": ["SA", "SU"], "year_holidays": "1.01,25.12,29.02,4.12", "year_workdays": ""})
BERLIN = ZoneInfo("Europe/Berlin")


class Oracle:
    """Ask zoneinfo about every minute, and remember what it says of a zone."""

    def __init__(self) -> None:
        self._local: dict[tuple[str, int], list[tuple[date, int]]] = {}

    def minutes_at_work(self, pattern: WorkPattern, minutes: Iterable[int], days_off: DaysOff) -> set[int]:
        zone, span = pattern
        length = span.minutes
        at_work, known = set(), {}
        for minute in minutes:
            day, of_day = self._at(zone, minute)
            since_start = of_day - span.start
            started_on = day - timedelta(days=since_start < 0)
            if started_on not in known:
                known[started_on] = not days_off.is_off(started_on)
            if since_start % DAY < length and known[started_on]:
                at_work.add(minute)
        return at_work

    def day(self, day: date, zone: str) -> list[int]:
        noon = minute_of(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
        return [minute for minute in range(noon - 2 * DAY, noon + 2 * DAY) if self._at(zone, minute)[0] == day]

    def _at(self, zone: str, minute: int) -> tuple[date, int]:
        start = minute // DAY * DAY
        if (zone, start) not in self._local:
            locals_ = (moment_of(number).astimezone(ZoneInfo(zone)) for number in range(start, start + DAY))
            self._local[zone, start] = [(local.date(), local.hour * 60 + local.minute) for local in locals_]
        return self._local[zone, start][minute - start]


def in_intervals(intervals: Sequence[Interval]) -> set[int]:
    assert all(end < start for (_, end), (start, _) in pairwise(intervals)), "intervals touch"
    return {minute for start, end in intervals for minute in range(start, end)}


def people(*patterns: tuple[str, Span]) -> list[Participant]:
    return [Participant(number, WorkPattern(*pattern)) for number, pattern in enumerate(patterns, start=1)]


def plan(
    participants: Sequence[Participant],
    day: date,
    zone: tzinfo = BERLIN,
    *,
    minutes: int = 60,
    days_off: DaysOff = NO_DAYS_OFF,
    now: datetime = datetime(2000, 1, 1, tzinfo=UTC),
) -> DayPlan:
    return plan_day(participants, day=day, reader_zone=zone, minutes=minutes, days_off=days_off, now=now)


@pytest.mark.parametrize(("reader_zone", "day"), DAYS)
def test_a_plan_agrees_with_every_minute_of_the_day(reader_zone: str, day: date) -> None:
    oracle, chance = Oracle(), random.Random(f"{reader_zone} {day}")  # repeatable
    zones = {reader_zone, *chance.sample(ZONES, 8), "Australia/Lord_Howe", "America/St_Johns"}
    participants = people(*((zone, span) for zone in sorted(zones) for span in chance.sample(SPANS, 4)))
    existing = oracle.day(day, reader_zone)

    for minutes in (15, 60, 95, 480):
        group = chance.sample(participants, chance.choice((1, 2, 3, 8)))
        everyone = participants if minutes == 60 else group
        result = plan(everyone, day, ZoneInfo(reader_zone), minutes=minutes, days_off=PORTAL)

        at_work = {person: oracle.minutes_at_work(person.pattern, existing, PORTAL) for person in everyone}
        assert in_intervals(result.intervals) == set(existing)
        for person in everyone:
            assert in_intervals(result.spans[person.user_id]) == at_work[person], person
        assert in_intervals(result.common) == set(existing).intersection(*at_work.values())
        compare_proposals(result, reader_zone, minutes, existing, at_work)


def compare_proposals(
    result: DayPlan, zone: str, minutes: int, existing: Sequence[int], at_work: dict[Participant, set[int]]
) -> None:
    days = set(existing)
    quarters = [
        minute
        for minute in existing
        if moment_of(minute).astimezone(ZoneInfo(zone)).minute % 15 == 0
        and all(number in days for number in range(minute, minute + minutes))
    ]

    def outside(start: int) -> set[int]:
        slot = set(range(start, start + minutes))
        return {person.user_id for person, present in at_work.items() if not slot <= present}

    if not quarters:
        assert result.proposals == ()
        return
    assert len(result.proposals[0].outside) == min(len(outside(start)) for start in quarters)
    for proposal in result.proposals:
        assert proposal.start in quarters
        assert proposal.end == proposal.start + minutes
        assert set(proposal.outside) == outside(proposal.start)
    counts = [len(proposal.outside) for proposal in result.proposals]
    assert counts == sorted(counts)
    starts = [proposal.start for proposal in result.proposals]
    assert all(abs(one - other) >= 30 for one in starts for other in starts if one != other)


def test_every_zone_changes_its_clocks_when_zoneinfo_says() -> None:
    first = minute_of(datetime(2026, 6, 1, tzinfo=UTC))
    for name in ZONES:
        zone = ZoneInfo(name)
        parts = offset_parts(zone, first, first + 400 * DAY)
        changes = clock_changes(zone, first, first + 400 * DAY)
        assert [change.minute for change in changes] == [start for start, _, _ in parts[1:]]
        for start, end, offset in parts:
            for minute in (start, end - 1):
                assert moment_of(minute).astimezone(zone).utcoffset() == timedelta(minutes=offset), (name, minute)
        between = range(first, first + 400 * DAY, 12 * 60)
        offsets = {minute: moment_of(minute).astimezone(zone).utcoffset() for minute in between}
        for start, end, offset in parts:
            assert {offsets[minute] for minute in between if start <= minute < end} <= {timedelta(minutes=offset)}


THURSDAY = date(2027, 3, 11)
KYIV, SAO_PAULO, KOLKATA, TOKYO = "Europe/Kyiv", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Tokyo"
DAYTIME = Span(540, 1080)
THREE = people((KYIV, DAYTIME), (SAO_PAULO, Span(480, 1020)), (KOLKATA, Span(600, 1140)))
FAR = people((TOKYO, DAYTIME), (KYIV, DAYTIME), (SAO_PAULO, Span(480, 1020)))


def clock(minute: int, zone: str = KYIV) -> str:
    return f"{moment_of(minute).astimezone(ZoneInfo(zone)):%H:%M}"


def clocks(result: DayPlan, zone: str = KYIV) -> list[str]:
    return [clock(proposal.start, zone) for proposal in result.proposals]


def test_kyiv_sao_paulo_and_kolkata_on_a_thursday() -> None:
    result = plan(THREE, THURSDAY, ZoneInfo(KYIV))

    assert [(clock(start), clock(end)) for start, end in result.common] == [("13:00", "15:30")]
    assert clocks(result)[0] == "14:00"
    assert all(not proposal.outside for proposal in result.proposals)


def test_equal_times_are_spread_over_the_day_at_whole_hours_and_away_from_its_edges() -> None:
    result = plan(people((KYIV, DAYTIME), (KYIV, DAYTIME)), THURSDAY, ZoneInfo(KYIV))

    assert clocks(result) == ["10:00", "13:00", "16:00"]


def test_times_that_have_begun_come_after_those_that_have_not() -> None:
    now = datetime(2027, 3, 11, 12, 10, tzinfo=UTC)

    assert clocks(plan(people((KYIV, DAYTIME)), THURSDAY, ZoneInfo(KYIV), now=now))[0] == "15:00"


def test_each_proposal_asks_another_person_to_stretch_or_all_of_them_a_little() -> None:
    result = plan(FAR, THURSDAY, ZoneInfo(KYIV))

    assert clocks(result) == ["10:00", "13:00", "11:30"]
    assert [dict(proposal.stretches) for proposal in result.proposals] == [
        {3: Stretch(180, "early")},
        {1: Stretch(180, "late")},
        {1: Stretch(90, "late"), 3: Stretch(90, "early")},
    ]


def test_somebody_present_for_a_part_of_a_slot_is_outside() -> None:
    short = people((KYIV, Span(540, 595)))

    assert plan(short, THURSDAY, ZoneInfo(KYIV)).proposals[0].outside == (1,)
    assert plan(short, THURSDAY, ZoneInfo(KYIV), minutes=45).proposals[0].outside == ()


def test_a_day_off_is_no_stretch() -> None:
    saturday = plan(THREE, date(2027, 3, 13), ZoneInfo(KYIV), days_off=PORTAL)

    assert {stretch.kind for stretch in saturday.proposals[0].stretches.values()} == {"off"}
    assert saturday.common == ()


def test_who_is_left_out_and_shorter_meetings_are_other_ways() -> None:
    result = plan(FAR, THURSDAY, ZoneInfo(KYIV))

    assert [(clock(start), clock(end)) for start, end in times_without(result, [1])] == [("13:00", "18:00")]
    assert longest_common_meeting(result) == 0
    assert longest_common_meeting(plan(THREE, THURSDAY, ZoneInfo(KYIV), minutes=240)) == 150


def better(participants: Sequence[Participant], day: date, outside: int, minutes: int = 60) -> tuple[date, int] | None:
    result = better_day(
        participants,
        after=day,
        outside=outside,
        reader_zone=ZoneInfo(KYIV),
        minutes=minutes,
        days_off=PORTAL,
    )
    return (result.day, result.outside) if result else None


def test_the_better_day_is_the_first_with_the_fewest_outside() -> None:
    assert better(THREE, date(2027, 3, 12), 3) == (date(2027, 3, 15), 0)
    assert better(FAR, THURSDAY, 1) is None
    # After March 28 Kyiv's clocks are an hour ahead, and the three have another hour in common.
    assert better(THREE, date(2027, 3, 20), 1, minutes=150) == (date(2027, 3, 22), 0)
    assert better([], THURSDAY, 0) is None


def test_a_change_of_clocks_moves_common_hours_and_ends_a_proposal() -> None:
    result = plan(THREE, THURSDAY, ZoneInfo(KYIV))
    meeting = WeeklyMeeting(THREE, THURSDAY, ZoneInfo(KYIV))

    (change,) = meeting.changes
    assert [(zone.zone, zone.day, zone.minutes) for zone in change.changes] == [(KYIV, date(2027, 3, 28), 60)]
    assert (change.day, change.before, change.after) == (date(2027, 4, 1), ((780, 930),), ((840, 990),))
    last_days = {clock(proposal.start): meeting.works_until(proposal) for proposal in result.proposals}
    assert last_days["14:00"] is None
    assert last_days["13:00"] == date(2027, 3, 27)


def test_a_change_on_the_day_itself_is_compared_with_the_week_before() -> None:
    sunday = date(2027, 3, 28)
    meeting = WeeklyMeeting(THREE, sunday, ZoneInfo(KYIV))

    (change,) = meeting.changes
    assert (change.day, change.before, change.after) == (sunday, ((780, 930),), ((840, 990),))
    assert meeting.works_until(plan(THREE, sunday, ZoneInfo(KYIV)).proposals[0]) is None


def test_zones_that_change_their_clocks_together_change_nothing() -> None:
    (change,) = WeeklyMeeting(people((KYIV, DAYTIME), ("Europe/Berlin", DAYTIME)), THURSDAY, ZoneInfo(KYIV)).changes

    assert change.before == change.after == ((600, 1080),)
    assert {zone.zone for zone in change.changes} == {KYIV, "Europe/Berlin"}


@pytest.mark.parametrize("hour", (0, 9, 21))
def test_the_next_common_times_of_two_people_agree_with_every_minute(hour: int) -> None:
    oracle, chance = Oracle(), random.Random(hour)  # repeatable
    moment = datetime(2027, 3, 26, hour, 7, tzinfo=UTC)
    now = minute_of(moment)
    for _ in range(6):
        one, other = (WorkPattern(chance.choice(ZONES[:8]), chance.choice(SPANS)) for _ in range(2))
        expected = [oracle.minutes_at_work(pattern, range(now, now + 3 * DAY), PORTAL) for pattern in (one, other)]

        times = next_common_times(one, other, moment=moment, days_off=PORTAL, count=20)

        found = {minute for start, end in times for minute in range(max(start, now), min(end, now + 3 * DAY))}
        assert found == expected[0] & expected[1]
