"""Prepare the groups of the list of people: their names, counts and strips, and which are folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from dashboard.models import Person
from dashboard.team.availability import HoursGroup
from dashboard.team.listing import RowGroup, TeamPage, TeamRow
from dashboard.team.team_order import Grouping
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import filters
from dashboard.web.presenters.day_chart import DayChart, GroupDay

FIRST_SCREEN_ROWS = 12  # groups that begin below these are folded, but for the reader's own


@dataclass(frozen=True)
class ListGroup:
    """A group of the list; without a heading if the list has no groups."""

    key: str
    name: str
    people: int
    rows: Sequence[TeamRow]
    day: GroupDay | None
    is_folded: bool


def list_groups(
    page: TeamPage,
    chart: DayChart,
    hours: Mapping[str, Sequence[HoursGroup]],
    department_names: Mapping[int, str],
    reader: Person,
) -> list[ListGroup]:
    """Return the groups on a page; the reader's own is unfolded.

    :param hours: those of their people, by the groups' keys.
    """
    own_key = reader.zone if page.arrangement.group == Grouping.TIMEZONE else str(reader.main_department or "")
    if page.arrangement.group == Grouping.NONE:
        return [ListGroup("", "", page.total, page.rows, None, is_folded=False)] if page.rows else []
    rows_before = accumulate((len(group.rows) for group in page.groups), initial=0)
    return [
        ListGroup(
            key=group.key,
            name=_name(group, page.arrangement.group, department_names),
            people=group.people,
            rows=group.rows,
            day=chart.group(hours.get(group.key, ()), people=group.people),
            is_folded=rows >= FIRST_SCREEN_ROWS and group.key != own_key,
        )
        for group, rows in zip(page.groups, rows_before, strict=False)
    ]


def _name(group: RowGroup, grouping: str, department_names: Mapping[int, str]) -> str:
    if grouping == Grouping.DEPARTMENT:
        # A department may be deleted while the page is read.
        return department_names.get(int(group.key or 0)) or _("No department")
    return filters.zone_city(group.key) if group.key else _("No time zone in the profile")


def by_zone(groups: Sequence[HoursGroup]) -> dict[str, list[HoursGroup]]:
    """Return the hours of a team's people by their time zones."""
    by_name: dict[str, list[HoursGroup]] = {}
    for group in groups:
        by_name.setdefault(group.zone, []).append(group)
    return by_name
