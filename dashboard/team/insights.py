"""What is worth telling about people's habits: the day they share, and who does otherwise. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import TypeAlias, TypeVar

from dashboard.calendar.encoding import decode_habits
from dashboard.calendar.holidays import EVERY_DAY_WORKS
from dashboard.calendar.reminders import Reminders
from dashboard.calendar.values import Toggle
from dashboard.calendar.working_hours import DAY, Span
from dashboard.team import availability, settings_counts
from dashboard.team.availability import Band, BestHour, HoursGroup
from dashboard.team.settings_counts import SettingsCounts, ZoneAndHours
from dashboard.team.small_groups import NO_MINIMUM, suppress_small_groups

SLOT = 30  # minutes of the day that are counted together
MAX_BEST_HOURS = 3
# A day as long as this was hardly meant so.
LONG_DAY_MINUTES = 14 * 60
# How many know their mind before "most" means something, and what part of them is most.
TOLD_BY, MOST = 4, 0.75

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class ByZoneAndHours:
    """The people of these places."""

    places: tuple[ZoneAndHours, ...]


@dataclass(frozen=True)
class ByEncoded:
    """The people with these texts of habits."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class ByZonePair:
    """The people with these pairs of zones: the profile's, the calendar's."""

    zones: tuple[tuple[str, str], ...]


PeopleFilter: TypeAlias = ByZoneAndHours | ByEncoded | ByZonePair


@dataclass(frozen=True)
class TeamDay:
    """How many people are at work over a usual day of the reader's, of those who can be placed on it."""

    people: int
    slots: tuple[int, ...]  # at the beginning of each half hour
    pieces: tuple[tuple[Band, int], ...]  # the same to the minute
    nobody: tuple[Band, ...]
    everyone: tuple[Band, ...]
    best: tuple[BestHour, ...]


@dataclass(frozen=True)
class Difference:
    """A setting most people have alike: Bitrix24's key, or "hours", or "reminders"."""

    setting: str
    majority: bool | Span | Reminders
    majority_size: int
    others: int
    filter: PeopleFilter


def groups(counted: SettingsCounts, *, fewest: int = NO_MINIMUM) -> list[HoursGroup]:
    """Return the groups of people who can be placed on a day.

    Zones are split first and each zone's hours then, so that neither the whole without its zones
    nor a zone without its hours leaves a small number over.
    """
    by_zone: dict[str, dict[Span | None, int]] = {}
    for place, people in counted.zones_and_hours.items():
        by_zone.setdefault(place.zone, {})[place.span] = people
    told = suppress_small_groups(settings_counts.zones(counted), fewest=fewest).shown
    inside = [(zone, suppress_small_groups(by_zone[zone], fewest=fewest).shown) for zone, _people in told if zone]
    return [HoursGroup(zone, span, people) for zone, spans in inside for span, people in spans if span is not None]


def day(found: list[HoursGroup], *, on: date, reader: tzinfo) -> TeamDay:
    """Return a usual day as the reader's clock shows it."""
    rows = availability.rows(found, day=on, reader=reader, workdays=EVERY_DAY_WORKS)
    pieces = availability.covered(rows)
    return TeamDay(
        people=sum(group.people for group in found),
        slots=tuple(_at(minute, pieces) for minute in range(0, DAY, SLOT)),
        pieces=tuple(pieces),
        nobody=_round_midnight([band for band, people in pieces if not people]),
        everyone=_round_midnight(list(availability.shared(rows))),
        best=tuple(availability.best_hours(rows, count=MAX_BEST_HOURS)),
    )


def _at(minute: int, pieces: list[tuple[Band, int]]) -> int:
    return next(people for (start, end), people in pieces if start <= minute < end)


def _round_midnight(found: list[Band]) -> tuple[Band, ...]:
    """Return the bands, those at both ends of the day as one that goes through the night."""
    if len(found) > 1 and found[0][0] == 0 and found[-1][1] == DAY:
        return (*found[1:-1], (found[-1][0], found[0][1]))
    return tuple(found)


def apart(
    found: list[HoursGroup], best: tuple[BestHour, ...], *, on: date, reader: tzinfo
) -> Mapping[ZoneAndHours, int]:
    """Return who is at work in none of the best hours; nobody where those are not for most people."""
    most = sum(group.people for group in found) / 2
    hours = [(one.start, one.start + availability.HOUR) for one in best if one.people > most]
    if not hours:
        return {}
    rows = availability.rows(found, day=on, reader=reader, workdays=EVERY_DAY_WORKS)
    return {
        ZoneAndHours(row.group.zone, row.group.span): row.group.people
        for row in rows
        if not any(start < ends and begins < end for start, end in row.bands for begins, ends in hours)
    }


def long_days(counted: SettingsCounts) -> Mapping[ZoneAndHours, int]:
    """Return whose working day is so long that it was hardly meant."""
    return {place: people for place, people in counted.zones_and_hours.items() if _minutes(place) >= LONG_DAY_MINUTES}


def nights(counted: SettingsCounts) -> Mapping[ZoneAndHours, int]:
    """Return who works past midnight by their own clock, long days left out."""
    return {
        place: people
        for place, people in counted.zones_and_hours.items()
        if place.span and place.span.overnight and place.span.end > 0 and _minutes(place) < LONG_DAY_MINUTES
    }


def _minutes(place: ZoneAndHours) -> int:
    return place.span.minutes if place.span else 0


def people_with(counted: SettingsCounts, key: str, *, on: bool) -> ByEncoded:
    """Return the people who have that setting on, or off."""
    return ByEncoded(tuple(text for text in counted.texts if decode_habits(text).toggles.get(key) == Toggle(on)))


def differences(counted: SettingsCounts, *, fewest: int = NO_MINIMUM) -> list[Difference]:
    """Return the settings that most people have alike and some otherwise, the fewest otherwise first."""
    found = [*_different_switches(counted, fewest=fewest)]
    if fewest == NO_MINIMUM:
        # Others could hold these numbers against those of zones and reminders and work out a small one.
        found += [*_different_hours(counted), *_different_reminders(counted)]
    return sorted(found, key=lambda one: (one.others, one.setting))


def _different_switches(counted: SettingsCounts, *, fewest: int) -> Iterator[Difference]:
    for key, told in settings_counts.toggle_counts(counted).items():
        if suppress_small_groups(told, fewest=fewest).suppressed:
            continue
        answers = {on: people for on, people in told.items() if on is not None}
        if (usual := _usual(answers)) is not None:
            who = people_with(counted, key, on=not usual)
            yield Difference(key, usual, answers[usual], answers[not usual], who)


def _different_hours(counted: SettingsCounts) -> Iterator[Difference]:
    counts: Counter[Span] = Counter()
    for place, people in counted.zones_and_hours.items():
        if place.span:
            counts[place.span] += people
    if (usual := _usual(counts)) is not None:
        others = tuple(place for place in counted.zones_and_hours if place.span not in (None, usual))
        yield Difference("hours", usual, counts[usual], counts.total() - counts[usual], ByZoneAndHours(others))


def _different_reminders(counted: SettingsCounts) -> Iterator[Difference]:
    counts: Counter[Reminders] = Counter()
    for text, people in counted.texts.items():
        counts[decode_habits(text).reminders] += people
    # The reminders of these people are unknown.
    del counts[Reminders()]
    if (usual := _usual(counts)) is not None:
        others = tuple(text for text in counted.texts if decode_habits(text).reminders not in (Reminders(), usual))
        yield Difference("reminders", usual, counts[usual], counts.total() - counts[usual], ByEncoded(others))


def _usual(counts: Mapping[Key, int]) -> Key | None:
    """Return what most have; None where there is no clear most, or all are alike."""
    told = sum(counts.values())
    if told < TOLD_BY:
        return None
    usual = max(counts, key=lambda key: counts[key])
    return usual if MOST * told <= counts[usual] < told else None
