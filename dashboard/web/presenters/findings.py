"""What stands out in a portal's habits, in sentences; the most useful first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache

from dashboard.calendar import time_zones
from dashboard.team import insights, settings_counts
from dashboard.team.availability import HoursGroup
from dashboard.team.insights import ByZoneAndHours, ByZonePair, PeopleFilter, TeamDay
from dashboard.team.settings_counts import SettingsCounts, ZoneAndHours
from dashboard.team.small_groups import NO_MINIMUM, suppress_small_groups
from dashboard.web.i18n.translations import ngettext
from dashboard.web.i18n.translations import number as written

REFUSING = "denyBusyInvitation"


@dataclass(frozen=True)
class InsightFinding:
    """A sentence, and who is behind it: the team's page where that can show them, else whom to look up."""

    code: str
    text: str
    people: int
    href: str | None = None
    filter: PeopleFilter | None = None


def list_findings(
    counted: SettingsCounts,
    found: list[HoursGroup],
    day: TeamDay,
    *,
    now: datetime,
    reader: tzinfo,
    fewest: int,
) -> list[InsightFinding]:
    """Return what is worth saying. With a limit, only what is told of so many people and of so many not."""
    said = [_disagreeing(counted, now, fewest), _unreminded(counted, fewest), _refusing(counted, fewest)]
    if fewest == NO_MINIMUM:
        on = now.astimezone(reader).date()
        said[1:1] = [_apart(insights.apart(found, day.best, on=on, reader=reader)), _long(counted)]
        said.append(_nights(counted))
    return [finding for finding in said if finding is not None]


def _disagreeing(counted: SettingsCounts, now: datetime, fewest: int) -> InsightFinding | None:
    pairs = {pair: people for pair, people in counted.disagreeing.items() if _differ(*pair, _hour(now))}
    number = sum(pairs.values())
    number = suppress_small_groups({True: number, False: counted.people - number}, fewest=fewest).of(True)
    if not number:
        return None
    words = ngettext(
        "%(num)s person has different time zones in their calendar and profile.",
        "%(num)s people have different time zones in their calendar and profile.",
        number,
    )
    return InsightFinding("zones_disagree", words % {"num": written(number)}, number, filter=ByZonePair(tuple(pairs)))


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


# A year of clocks is compared for each pair, and the pairs are the same at each look.
@lru_cache(maxsize=1024)
def _differ(profile: str, calendar: str, at: datetime) -> bool:
    known = time_zones.parse_zone_name(profile) and time_zones.parse_zone_name(calendar)
    return bool(known) and not time_zones.same_clock(profile, calendar, at)


def _apart(places: Mapping[ZoneAndHours, int]) -> InsightFinding | None:
    if not (number := sum(places.values())):
        return None
    words = ngettext(
        "%(num)s person is not at work during any of the best common hours.",
        "%(num)s people are not at work during any of the best common hours.",
        number,
    )
    return InsightFinding("apart", words % {"num": written(number)}, number, filter=ByZoneAndHours(tuple(places)))


def _long(counted: SettingsCounts) -> InsightFinding | None:
    places = insights.long_days(counted)
    if not (number := sum(places.values())):
        return None
    words = ngettext(
        "%(num)s person has a working day of %(hours)s hours or more. Probably a mistake.",
        "%(num)s people have a working day of %(hours)s hours or more. Probably a mistake.",
        number,
    )
    told = words % {"num": written(number), "hours": insights.LONG_DAY_MINUTES // 60}
    return InsightFinding("long_days", told, number, filter=ByZoneAndHours(tuple(places)))


def _unreminded(counted: SettingsCounts, fewest: int) -> InsightFinding | None:
    number = suppress_small_groups(settings_counts.reminder_counts(counted), fewest=fewest).of("none")
    if not number:
        return None
    words = ngettext("%(num)s person has no default reminder.", "%(num)s people have no default reminder.", number)
    return InsightFinding("unreminded", words % {"num": written(number)}, number, href="/team?reminders=none")


def _refusing(counted: SettingsCounts, fewest: int) -> InsightFinding | None:
    told = settings_counts.toggle_counts(counted)[REFUSING]
    number = suppress_small_groups(told, fewest=fewest).of(True)
    if not number:
        return None
    words = ngettext(
        ("%(num)s person declines invitations when busy, so a meeting may be declined without being seen."),
        ("%(num)s people decline invitations when busy, so a meeting may be declined without being seen."),
        number,
    )
    who = insights.people_with(counted, REFUSING, on=True)
    return InsightFinding("refusing", words % {"num": written(number)}, number, filter=who)


def _nights(counted: SettingsCounts) -> InsightFinding | None:
    places = insights.nights(counted)
    if not (number := sum(places.values())):
        return None
    words = ngettext("%(num)s person works past midnight.", "%(num)s people work past midnight.", number)
    return InsightFinding("nights", words % {"num": written(number)}, number, filter=ByZoneAndHours(tuple(places)))
