"""Compute who is at work on a user's day: time zones, night shifts, days off, and common hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import _lru_cache_wrapper
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from dashboard.calendar import clock_changes, time_zones
from dashboard.calendar.holidays import NO_DAYS_OFF, DaysOff, parse_days_off
from dashboard.calendar.working_hours import DAY, Span
from dashboard.team import availability
from dashboard.team.availability import (
    Band,
    BestHour,
    CommonHours,
    HoursGroup,
    common_hours,
    count_at_work,
    day_rows,
    people_at_work,
)

BERLIN, TOKYO, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")
WEDNESDAY = date(2026, 3, 4)
WEEKEND = parse_days_off({"week_holidays": ["SA", "SU"]})


def group(zone: str, start: int, end: int, people: int = 1) -> HoursGroup:
    """Return a group that works from one hour to another."""
    return HoursGroup(zone, Span(start * 60, end * 60), people)


def hours(
    hours_group: HoursGroup, *, on: date, user_zone: ZoneInfo = BERLIN, days_off: DaysOff = NO_DAYS_OFF
) -> list[tuple[float, float]]:
    """Return a group's bands in hours of the reader's day."""
    (row,) = day_rows([hours_group], day=on, user_zone=user_zone, days_off=days_off)
    return [(start / 60, end / 60) for start, end in row.bands]


def test_hours_in_the_users_own_zone_are_unchanged() -> None:
    assert hours(group("Europe/Berlin", 9, 18), on=WEDNESDAY) == [(9, 18)]


def test_hours_in_another_zone_are_converted() -> None:
    assert hours(group("Asia/Tokyo", 9, 18), on=WEDNESDAY) == [(1, 10)]
    assert hours(group("Asia/Kathmandu", 10, 18), on=WEDNESDAY) == [(5.25, 13.25)]


def test_hours_across_the_users_midnight_are_in_two_bands() -> None:
    assert hours(group("America/New_York", 15, 23), on=WEDNESDAY) == [(0, 5), (21, 24)]


def test_a_night_shift_is_in_two_bands() -> None:
    assert hours(group("Europe/Berlin", 22, 6), on=WEDNESDAY) == [(0, 6), (22, 24)]


def test_24_hours_are_the_whole_day() -> None:
    assert hours(group("Asia/Tokyo", 0, 24), on=WEDNESDAY) == [(0, 24)]
    assert hours(group("Asia/Tokyo", 8, 8), on=WEDNESDAY) == [(0, 24)]


def test_zones_25_hours_apart() -> None:
    far = ZoneInfo("Pacific/Pago_Pago")

    # Eleven hours behind UTC for the reader, fourteen ahead of it for the group: 25 between them.
    assert hours(group("Pacific/Kiritimati", 9, 17), on=WEDNESDAY, user_zone=far) == [(8, 16)]


def test_zones_that_change_clocks_on_different_days() -> None:
    # America's clocks went forward on March 8, Europe's follow on March 29.
    assert hours(group("America/New_York", 9, 17), on=date(2026, 3, 4)) == [(15, 23)]
    assert hours(group("America/New_York", 9, 17), on=date(2026, 3, 11)) == [(14, 22)]
    assert hours(group("America/New_York", 9, 17), on=date(2026, 4, 1)) == [(15, 23)]


def test_days_on_which_clocks_change() -> None:
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)

    assert hours(group("UTC", 0, 12), on=spring) == [(1, 14)]
    assert hours(group("UTC", 0, 12), on=autumn) == [(2, 13)]


def test_a_day_off_has_no_hours() -> None:
    saturday = date(2026, 3, 7)

    assert hours(group("Europe/Berlin", 9, 18), on=saturday, days_off=WEEKEND) == []
    # It is Friday there while the reader's Saturday begins.
    assert hours(group("America/New_York", 15, 23), on=saturday, days_off=WEEKEND) == [(0, 5)]


def test_a_night_shift_belongs_to_the_day_it_starts_on() -> None:
    night = group("Europe/Berlin", 22, 6)

    assert hours(night, on=date(2026, 3, 7), days_off=WEEKEND) == [(0, 6)]
    assert hours(night, on=date(2026, 3, 9), days_off=WEEKEND) == [(22, 24)]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 3, 4, 8, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 4, 7, 59, tzinfo=UTC), False),
        (datetime(2026, 3, 4, 17, 0, tzinfo=UTC), False),
        (datetime(2026, 3, 7, 10, 0, tzinfo=UTC), False),
    ],
)
def test_at_work_now(moment: datetime, expected: bool) -> None:
    assert people_at_work([group("Europe/Berlin", 9, 18)], moment=moment, days_off=WEEKEND) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 3, 6, 21, 30, tzinfo=UTC), True),  # Friday, half past ten
        (datetime(2026, 3, 7, 4, 30, tzinfo=UTC), True),  # Saturday morning, still Friday's night
        (datetime(2026, 3, 7, 21, 30, tzinfo=UTC), False),  # Saturday night
        (datetime(2026, 3, 9, 4, 30, tzinfo=UTC), False),  # Monday morning is Sunday's night
        (datetime(2026, 3, 10, 12, 0, tzinfo=UTC), False),
    ],
)
def test_at_work_during_a_night_shift(moment: datetime, expected: bool) -> None:
    assert people_at_work([group("Europe/Berlin", 22, 6)], moment=moment, days_off=WEEKEND) == expected


def common(*groups: HoursGroup, user_zone: ZoneInfo = BERLIN) -> list[Band]:
    return list(common_hours(day_rows(groups, day=WEDNESDAY, user_zone=user_zone, days_off=NO_DAYS_OFF)).everyone)


def test_common_hours_include_everyone() -> None:
    assert common(group("Europe/Berlin", 9, 18), group("Europe/Moscow", 9, 18)) == [(540, 960)]
    assert common(group("Europe/Berlin", 9, 17), group("Asia/Tokyo", 9, 17)) == []
    assert common() == []


def best(*groups: HoursGroup) -> BestHour | None:
    rows = day_rows(groups, day=WEDNESDAY, user_zone=BERLIN, days_off=NO_DAYS_OFF)
    return next(iter(common_hours(rows).best), None)


def test_the_best_hour_has_the_most_people() -> None:
    crowd, night = group("Europe/Berlin", 14, 18, people=9), group("Europe/Berlin", 22, 6, people=2)

    assert best(crowd, night, group("Europe/Berlin", 9, 15)) == BestHour(14 * 60, 10)


def test_among_equal_hours_the_one_far_from_all_edges_is_best() -> None:
    assert best(group("Europe/Berlin", 9, 18, people=2)) == BestHour(13 * 60, 2)
    assert best(group("Europe/Berlin", 16, 20, people=2)) == BestHour(17 * 60 + 30, 2)


def test_readers_in_different_time_zones_get_the_same_best_hours() -> None:
    groups = [group("Europe/Berlin", 9, 18, people=3), group("Asia/Kolkata", 10, 19, people=2)]
    berlin, kolkata = (
        common_hours(day_rows(groups, day=WEDNESDAY, user_zone=ZoneInfo(zone), days_off=NO_DAYS_OFF))
        for zone in ("Europe/Berlin", "Asia/Kolkata")
    )

    assert berlin.most == (540, 870)
    assert kolkata.most == (540 + 270, 870 + 270)
    assert [hour.start + 270 for hour in berlin.best] == [hour.start for hour in kolkata.best]


def test_people_must_work_the_whole_best_hour() -> None:
    short = HoursGroup("Europe/Berlin", Span(540, 590), 5)

    assert best(short) is None
    assert best(short, group("Europe/Berlin", 14, 15, people=2)) == BestHour(14 * 60, 2)
    assert best() is None


def test_nothing_is_said_about_fewer_than_two_people() -> None:
    apart = [group("Europe/Berlin", 9, 12), group("Europe/Berlin", 14, 18)]

    for groups in ([apart[0]], apart):
        rows = day_rows(groups, day=WEDNESDAY, user_zone=BERLIN, days_off=NO_DAYS_OFF)
        assert common_hours(rows) == CommonHours()


def test_people_at_work_are_counted_from_midnight_to_midnight() -> None:
    pieces = count_at_work(
        day_rows(
            [group("Europe/Berlin", 9, 12, people=2), group("Europe/Berlin", 10, 24, people=3)],
            day=WEDNESDAY,
            user_zone=BERLIN,
            days_off=NO_DAYS_OFF,
        )
    )

    assert pieces == [((0, 540), 0), ((540, 600), 2), ((600, 720), 5), ((720, 1440), 3)]


def at_work_by_the_minute(zone: str, span: Span, *, on: date, user_zone: ZoneInfo, days_off: DaysOff) -> list[Band]:
    """Return a group's bands by asking zoneinfo about every minute; one that the clock skips is as its neighbors."""
    midnight = datetime(on.year, on.month, on.day, tzinfo=UTC)
    existing, at_work = set(), set()
    for moment in (midnight + timedelta(minutes=number) for number in range(-DAY, 2 * DAY)):
        user, local = moment.astimezone(user_zone), moment.astimezone(ZoneInfo(zone))
        if user.date() != on:
            continue
        existing.add(minute := user.hour * 60 + user.minute)
        since_start = local.hour * 60 + local.minute - span.start
        started_on = local.date() - timedelta(days=since_start < 0)
        if since_start % DAY < span.minutes and not days_off.is_off(started_on):
            at_work.add(minute)
    for minute in {*range(DAY)} - existing:
        before, after = (
            next((near for near in way if near in existing), None)
            for way in (range(minute, -1, -1), range(minute, DAY))
        )
        if before in at_work and after in at_work:
            at_work.add(minute)
    edges = sorted(minute for minute in range(DAY + 1) if (minute in at_work) != (minute - 1 in at_work))
    return list(zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize(
    ("user_zone", "on", "zone"),
    [
        ("Australia/Lord_Howe", date(2027, 4, 4), "UTC"),  # half an hour is repeated
        ("UTC", date(2027, 4, 3), "Australia/Lord_Howe"),
        ("Europe/Berlin", date(2026, 10, 25), "America/St_Johns"),  # an hour is repeated, half an hour off the group's
        ("America/St_Johns", date(2026, 11, 1), "Europe/Berlin"),
        ("America/New_York", date(2026, 3, 8), "America/New_York"),  # the same hour is skipped
        ("Asia/Kolkata", date(2026, 3, 8), "America/New_York"),
        ("Atlantic/Azores", date(2026, 10, 25), "Asia/Beirut"),  # both repeat an hour, and one at midnight
        ("UTC", date(1971, 6, 1), "Africa/Monrovia"),  # an offset with seconds
        ("Pacific/Apia", date(2011, 12, 31), "Pacific/Pago_Pago"),  # the day before does not exist
    ],
)
def test_days_with_other_offsets_to_the_minute(user_zone: str, on: date, zone: str) -> None:
    for start, end in ((540, 1080), (1320, 360), (90, 135), (105, 150), (0, 1440), (1440, 30), (480, 480)):
        span = Span(start, end)
        expected = at_work_by_the_minute(zone, span, on=on, user_zone=ZoneInfo(user_zone), days_off=WEEKEND)

        (row,) = day_rows([HoursGroup(zone, span, 1)], day=on, user_zone=ZoneInfo(user_zone), days_off=WEEKEND)

        assert [*row.bands] == expected, span


def test_offsets_are_looked_up_once_for_each_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[tzinfo] = []

    def count(zone: tzinfo, start: int, end: int) -> list[clock_changes.OffsetPart]:
        looked_up.append(zone)
        return clock_changes.offset_parts(zone, start, end)

    monkeypatch.setattr(availability, "offset_parts", count)
    groups = [
        HoursGroup(zone, Span(start, start + 480), 1)
        for zone in ("Asia/Tokyo", "Europe/Berlin", "UTC")
        for start in range(900)
    ]

    assert len(day_rows(groups, day=WEDNESDAY, user_zone=BERLIN, days_off=WEEKEND)) == 2700
    assert len(looked_up) == 4  # the user's, too


@pytest.mark.parametrize("cached", [time_zones.zone_info, time_zones._offsets_of_year, clock_changes._block])
def test_no_portal_evicts_the_zones_of_others(cached: _lru_cache_wrapper[Any]) -> None:
    assert (cached.cache_parameters()["maxsize"] or 0) >= len(available_timezones())
