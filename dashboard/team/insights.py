"""Find patterns in a team's settings: common hours, and settings in which a minority differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from functools import partial
from typing import TypeAlias, TypeVar

from dashboard.calendar.encoding import has_toggle, split_habits
from dashboard.calendar.holidays import NO_DAYS_OFF
from dashboard.calendar.working_hours import DAY, Span
from dashboard.team import availability, settings_counts
from dashboard.team.availability import Band, CommonHours, DayRow, HoursGroup
from dashboard.team.settings_counts import SettingsCounts, ZoneAndHours
from dashboard.team.small_groups import NO_MINIMUM, suppress_small_groups
from dashboard.team.working_spans import counts_at

SLOT = 30  # minutes of one bar of the chart
MIN_LONG_DAY = 14 * 60  # minutes of working hours that are probably a mistake
# The number of answers, and the share of them, that make a majority.
MIN_ANSWERS, MAJORITY = 4, 0.75

Answer: TypeAlias = bool | Span | str
A = TypeVar("A", bool, Span, str)


@dataclass(frozen=True)
class PeopleFilter:
    """Select the people whose values in ``columns`` equal one of ``rows``."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int, ...], ...]
    with_settings: bool = False  # only those whose settings are known


@dataclass(frozen=True)
class TeamDay:
    """How many people are at work on a regular day of the user. People without known zone and hours are left out."""

    people: int
    rows: tuple[DayRow, ...]
    slots: tuple[int, ...]  # people at work at the start of each half hour
    pieces: tuple[tuple[Band, int], ...]  # people at work in each part of the day, to the minute
    nobody: tuple[Band, ...]
    everyone: tuple[Band, ...]
    common: CommonHours


@dataclass(frozen=True)
class Difference:
    """A setting in which a minority differs: a key of Bitrix24's, "hours" or "reminders"."""

    setting: str
    majority: Answer  # reminders as `calendar/encoding.py` encodes them
    majority_size: int
    others: int
    filter: PeopleFilter  # the others


def by_zone_and_hours(places: Iterable[ZoneAndHours], *, with_settings: bool = False) -> PeopleFilter:
    """Return a filter for the people with one of these zones and hours."""
    rows = ((place.zone, place.span.start, place.span.end) for place in places if place.span)
    return PeopleFilter(("zone", "work_start", "work_end"), tuple(rows), with_settings)


def by_zone_pair(pairs: Iterable[tuple[str, str]]) -> PeopleFilter:
    """Return a filter for the people with one of these pairs of zones: the profile's, the calendar's."""
    return PeopleFilter(("calendar_zone", "time_zone"), tuple((calendar, profile) for profile, calendar in pairs))


def by_toggle(counts: SettingsCounts, key: str, *, on: bool) -> PeopleFilter:
    """Return a filter for the people who have a toggle on, or off."""
    return _by_habits(text for text in counts.habits if has_toggle(text, key, on=on))


def _by_habits(texts: Iterable[str]) -> PeopleFilter:
    return PeopleFilter(("habits",), tuple((text,) for text in texts))


def hours_groups(counts: SettingsCounts, *, min_group_size: int = NO_MINIMUM) -> list[HoursGroup]:
    """Return the groups of people whose zone and hours are known.

    Small zones are suppressed first, then small groups within each zone, so that no small group can be computed
    by subtracting shown numbers from a total.
    """
    spans_by_zone: dict[str, dict[Span | None, int]] = {}
    for place, people in counts.zones_and_hours.items():
        spans_by_zone.setdefault(place.zone, {})[place.span] = people
    zones = suppress_small_groups(settings_counts.zones(counts), min_group_size=min_group_size).groups
    return [
        HoursGroup(zone, span, people)
        for zone, _people in zones
        for span, people in suppress_small_groups(spans_by_zone[zone], min_group_size=min_group_size).groups
        if zone and span is not None
    ]


def team_day(groups: list[HoursGroup], *, day: date, user_zone: tzinfo) -> TeamDay:
    """Return a regular day of the team in the user's time zone."""
    rows = availability.day_rows(groups, day=day, user_zone=user_zone, days_off=NO_DAYS_OFF)
    pieces = availability.count_at_work(rows)
    common = availability.common_hours(rows)
    return TeamDay(
        people=sum(group.people for group in groups),
        rows=tuple(rows),
        slots=tuple(counts_at(pieces, range(0, DAY, SLOT))),
        pieces=tuple(pieces),
        nobody=_join_at_midnight([band for band, people in pieces if not people]),
        everyone=_join_at_midnight(list(common.everyone)),
        common=common,
    )


def _join_at_midnight(bands: list[Band]) -> tuple[Band, ...]:
    """Return the bands, with the first and the last joined if they meet at midnight."""
    if len(bands) > 1 and bands[0][0] == 0 and bands[-1][1] == DAY:
        return (*bands[1:-1], (bands[-1][0], bands[0][1]))
    return tuple(bands)


def outside_best_hours(day: TeamDay) -> Mapping[ZoneAndHours, int]:
    """Count the people who are at work in none of the best hours; empty unless an hour suits most people."""
    hours = [(hour.start, hour.start + availability.HOUR) for hour in day.common.best if hour.people > day.people / 2]
    return {
        ZoneAndHours(row.group.zone, row.group.span): row.group.people
        for row in (day.rows if hours else ())
        if not any(start < hour_end and hour_start < end for start, end in row.bands for hour_start, hour_end in hours)
    }


def long_days(counts: SettingsCounts) -> Mapping[ZoneAndHours, int]:
    """Count people whose working hours are so long that they are probably a mistake."""
    return {place: people for place, people in counts.zones_and_hours.items() if place.span and _is_long(place.span)}


def night_shifts(counts: SettingsCounts) -> Mapping[ZoneAndHours, int]:
    """Count people who work past midnight in their own time zone, except those in `long_days`."""
    return {
        place: people
        for place, people in counts.zones_and_hours.items()
        if place.span and place.span.is_overnight and place.span.end > 0 and not _is_long(place.span)
    }


def _is_long(span: Span) -> bool:
    return span.minutes >= MIN_LONG_DAY


def differences(counts: SettingsCounts, *, min_group_size: int = NO_MINIMUM) -> list[Difference]:
    """Return the settings in which a minority differs, the smallest minority first."""
    candidates = [*_toggle_differences(counts, min_group_size)]
    if min_group_size == NO_MINIMUM:
        # With a minimum group size, subtracting the counts of zones or reminders could reveal a small group.
        candidates += [_hours_difference(counts), _reminders_difference(counts)]
    return sorted((row for row in candidates if row), key=lambda row: (row.others, row.setting))


def _toggle_differences(counts: SettingsCounts, min_group_size: int) -> Iterator[Difference | None]:
    for key, answers in settings_counts.toggle_counts(counts).items():
        if not suppress_small_groups(answers, min_group_size=min_group_size).suppressed:
            toggles = {on: people for on, people in answers.items() if on is not None}
            yield _difference(key, toggles, partial(_by_other_answer, counts, key))


def _by_other_answer(counts: SettingsCounts, key: str, majority: bool) -> PeopleFilter:
    return by_toggle(counts, key, on=not majority)


def _hours_difference(counts: SettingsCounts) -> Difference | None:
    return _difference(
        "hours",
        counts.hours,
        lambda majority: by_zone_and_hours(
            (place for place in counts.zones_and_hours if place.span != majority), with_settings=True
        ),
    )


def _reminders_difference(counts: SettingsCounts) -> Difference | None:
    reminders: Counter[str] = Counter()
    for text, people in counts.habits.items():
        reminders[split_habits(text)[1]] += people
    del reminders[""]  # unknown
    return _difference(
        "reminders",
        reminders,
        lambda majority: _by_habits(text for text in counts.habits if split_habits(text)[1] not in ("", majority)),
    )


def _difference(setting: str, answers: Mapping[A, int], others: Callable[[A], PeopleFilter]) -> Difference | None:
    """Return the difference, or None without a clear majority or without a minority."""
    total = sum(answers.values())
    majority = max(answers, key=lambda answer: answers[answer], default=None)
    if majority is None or total < MIN_ANSWERS or not MAJORITY * total <= answers[majority] < total:
        return None
    return Difference(setting, majority, answers[majority], total - answers[majority], others(majority))
