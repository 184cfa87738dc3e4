"""Show how people set up their calendars, in charts and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.calendar.working_hours import Span
from dashboard.models import Portal
from dashboard.team import insight_queries, insights, settings_counts, small_groups
from dashboard.team.insights import Difference, PeopleFilter
from dashboard.team.settings_counts import SettingsCounts
from dashboard.team.small_groups import suppress_small_groups
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import charts, filters, findings, labels, team_row
from dashboard.web.presenters.findings import InsightFinding
from dashboard.web.presenters.page_context import page_context
from dashboard.web.views import insight_people

blueprint = Blueprint("insights", __name__)

ZONES = 12  # as many as are listed by name
USUAL = 5


@dataclass(frozen=True)
class FigurePeople:
    """The people behind a number: the first of them by name, and how many more there are."""

    names: tuple[str, ...] = ()
    more: int = 0
    href: str = ""  # where all of them are


@blueprint.get("/insights")
@signed_in
@team_viewer
def show_insights(user: CurrentUser) -> ResponseReturnValue:
    """Show the portal's habits: to administrators with names, to others only numbers of larger groups."""
    is_admin, now = user.person.is_admin, services().now()
    min_group_size = small_groups.NO_MINIMUM if is_admin else small_groups.MIN_GROUP_SIZE
    with services().database.read_session() as session:
        counts = insight_queries.settings_counts(session, user.portal)
        if counts.people < max(2, min_group_size):
            context: dict[str, Any] = {"too_few": True}
        else:
            context = _pictures(counts, now=now, user=user, min_group_size=min_group_size)
        context |= {"people_by_filter": _figure_people(session, user.portal, context) if is_admin else {}}
    return render_template(
        "insights.html",
        **page_context(user.portal, user.person, current="/insights"),
        counts=counts,
        anonymous=not is_admin,
        now=now,
        clock=user.time_zone,
        **context,
    )


def _pictures(counts: SettingsCounts, *, now: datetime, user: CurrentUser, min_group_size: int) -> dict[str, Any]:
    clock = user.time_zone
    groups = insights.hours_groups(counts, min_group_size=min_group_size)
    day = insights.team_day(groups, day=now.astimezone(clock).date(), user_zone=clock)
    return {
        "too_few": False,
        "findings": findings.list_findings(
            counts, groups, day, now=now, user_zone=clock, min_group_size=min_group_size
        ),
        "day": day,
        "slots": charts.slot_columns(day),
        **_zones(counts, now=now, min_group_size=min_group_size),
        "views": _views(counts, min_group_size=min_group_size),
        "reminded": _reminded(counts, min_group_size=min_group_size),
        "usual_reminders": _usual_reminders(counts, min_group_size=min_group_size),
        "differences": [
            one
            for one in insights.differences(counts, min_group_size=min_group_size)
            # Who refuses while most do not is a finding already.
            if one.setting != findings.DECLINES_WHEN_BUSY or one.majority
        ],
        "usual": _usual,
        "label": insight_people.label,
    }


def _zones(counts: SettingsCounts, *, now: datetime, min_group_size: int) -> dict[str, Any]:
    """Return the zones: those drawn, those listed, and how many people are in none of these."""
    told = suppress_small_groups(settings_counts.zones(counts), min_group_size=min_group_size)
    known = [(zone, people) for zone, people in told.shown if zone]
    return {
        "clocks": charts.clock_columns(known, now=now),
        "zones": known[:ZONES],
        "zones_more": known[ZONES:],
        "zones_suppressed": told.suppressed,
        "zones_unknown": told.of(""),
    }


def _views(counts: SettingsCounts, *, min_group_size: int) -> list[charts.Bar]:
    names = {"other": _("Other"), "": _("Not set")}

    def title(key: str) -> str:
        return names.get(key) or labels.view(key)

    def href(key: str) -> str | None:
        return (
            charts.team_address(view=key)
            if key in settings_counts.USUAL_VIEWS and min_group_size == small_groups.NO_MINIMUM
            else None
        )

    return charts.bars(
        suppress_small_groups(settings_counts.views(counts), min_group_size=min_group_size),
        title=title,
        others=_("Others"),
        href=href,
    )


def _reminded(counts: SettingsCounts, *, min_group_size: int) -> list[charts.Bar]:
    def href(key: str) -> str | None:
        # On the team's page those who never opened the application are not known either.
        return (
            charts.team_address(reminders=key)
            if key != "unknown" and min_group_size == small_groups.NO_MINIMUM
            else None
        )

    told = suppress_small_groups(settings_counts.reminder_counts(counts), min_group_size=min_group_size)
    return charts.bars(told, title=lambda key: _(team_row.REMINDERS[key]), others=_("Others"), href=href)


def _usual_reminders(counts: SettingsCounts, *, min_group_size: int) -> list[tuple[str, int]]:
    """Return the most usual reminders in words; those of too few people are left out."""
    rows = [row for row in settings_counts.usual_reminders(counts) if row[1] >= min_group_size]
    return [(team_row.reminder_text(reminders), people) for reminders, people in rows[:USUAL]]


def _figure_people(session: Session, portal: Portal, shown: dict[str, Any]) -> dict[PeopleFilter, FigurePeople]:
    """Return the people behind each finding and difference."""
    told: list[InsightFinding | Difference] = [*shown.get("findings", ()), *shown.get("differences", ())]
    found: dict[PeopleFilter, FigurePeople] = {}
    for one in told:
        number, code = (one.people, one.code) if isinstance(one, InsightFinding) else (one.others, one.setting)
        if one.filter is not None and one.filter not in found:
            names = insight_queries.people_names(session, portal, one.filter)
            found[one.filter] = FigurePeople(tuple(names), number - len(names), insight_people.address(code))
    return found


def _usual(difference: Difference) -> str:
    """Return in words what most people have."""
    match difference.majority:
        case bool():
            return _("Yes") if difference.majority else _("No")
        case Span():
            return filters.hours(difference.majority)
    return team_row.reminder_text(difference.majority)
