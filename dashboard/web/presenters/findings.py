"""Describe in sentences what stands out in a team's settings, the most useful first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dashboard.calendar.time_zones import clocks_differ
from dashboard.team import insights, settings_counts
from dashboard.team.insights import PeopleFilter, TeamDay, by_zone_and_hours
from dashboard.team.settings_counts import SettingsCounts, ZoneAndHours
from dashboard.team.small_groups import NO_MINIMUM, suppress_small_groups
from dashboard.web.i18n.translations import ngettext, number

DECLINES_WHEN_BUSY = "denyBusyInvitation"


@dataclass(frozen=True)
class InsightFinding:
    """A sentence about a number of people, with a link to them on *Team*, or the filter that finds their names."""

    code: str
    text: str
    people: int
    href: str | None = None
    filter: PeopleFilter | None = None


def list_findings(
    counts: SettingsCounts,
    day: TeamDay,
    *,
    now: datetime,
    min_group_size: int,
) -> list[InsightFinding]:
    """Return what stands out. Both the people of a finding and all others must reach ``min_group_size``."""
    findings = [
        _zones_disagree(counts, now, min_group_size),
        _without_reminders(counts, min_group_size),
        _declining_when_busy(counts, min_group_size),
    ]
    if min_group_size == NO_MINIMUM:
        findings[1:1] = [_outside_best_hours(insights.outside_best_hours(day)), _long_days(insights.long_days(counts))]
        findings.append(_night_shifts(insights.night_shifts(counts)))
    return [finding for finding in findings if finding.people]


def _finding(
    code: str,
    people: int,
    text: str,
    people_filter: PeopleFilter | None = None,
    *,
    href: str | None = None,
    **values: object,
) -> InsightFinding:
    return InsightFinding(code, text % (values | {"num": number(people)}), people, href, people_filter)


def _zones_disagree(counts: SettingsCounts, now: datetime, min_group_size: int) -> InsightFinding:
    pairs = [pair for pair in counts.zone_pairs if clocks_differ(*pair, now)]
    people = sum(counts.zone_pairs[pair] for pair in pairs)
    by_answer = {True: people, False: counts.people - people}
    people = suppress_small_groups(by_answer, min_group_size=min_group_size).size_of(True)
    text = ngettext(
        "%(num)s person has different time zones in their calendar and profile.",
        "%(num)s people have different time zones in their calendar and profile.",
        people,
    )
    return _finding("zones_disagree", people, text, insights.by_zone_pair(pairs))


def _outside_best_hours(counts_by_group: Mapping[ZoneAndHours, int]) -> InsightFinding:
    people = sum(counts_by_group.values())
    text = ngettext(
        "%(num)s person is not at work during any of the best common hours.",
        "%(num)s people are not at work during any of the best common hours.",
        people,
    )
    return _finding("apart", people, text, by_zone_and_hours(counts_by_group))


def _long_days(counts_by_group: Mapping[ZoneAndHours, int]) -> InsightFinding:
    people = sum(counts_by_group.values())
    text = ngettext(
        "%(num)s person has a working day of %(hours)s hours or more. Probably a mistake.",
        "%(num)s people have a working day of %(hours)s hours or more. Probably a mistake.",
        people,
    )
    return _finding("long_days", people, text, by_zone_and_hours(counts_by_group), hours=insights.MIN_LONG_DAY // 60)


def _without_reminders(counts: SettingsCounts, min_group_size: int) -> InsightFinding:
    by_count = settings_counts.reminder_counts(counts)
    people = suppress_small_groups(by_count, min_group_size=min_group_size).size_of("none")
    text = ngettext("%(num)s person has no default reminder.", "%(num)s people have no default reminder.", people)
    return _finding("unreminded", people, text, href="/team?reminders=none")


def _declining_when_busy(counts: SettingsCounts, min_group_size: int) -> InsightFinding:
    by_answer = settings_counts.toggle_counts(counts)[DECLINES_WHEN_BUSY]
    people = suppress_small_groups(by_answer, min_group_size=min_group_size).size_of(True)
    text = ngettext(
        "%(num)s person declines invitations when busy, so a meeting may be declined without being seen.",
        "%(num)s people decline invitations when busy, so a meeting may be declined without being seen.",
        people,
    )
    return _finding("refusing", people, text, insights.by_toggle(counts, DECLINES_WHEN_BUSY, on=True))


def _night_shifts(counts_by_group: Mapping[ZoneAndHours, int]) -> InsightFinding:
    people = sum(counts_by_group.values())
    text = ngettext("%(num)s person works past midnight.", "%(num)s people work past midnight.", people)
    return _finding("nights", people, text, by_zone_and_hours(counts_by_group))
