"""Show how people set up their calendars, in charts and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
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
from dashboard.web.auth.permissions import whole_team_viewer
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import charts, filters, findings, labels, recommended, team_row
from dashboard.web.presenters.findings import InsightFinding
from dashboard.web.presenters.page_context import page_context
from dashboard.web.views import insight_people

blueprint = Blueprint("insights", __name__)

MAX_ZONES = 12  # shown at once; more are behind a button
MAX_USUAL_REMINDERS = 5


@dataclass(frozen=True)
class FigurePeople:
    """The first people behind a figure by name, how many more there are, and where all of them are listed."""

    names: tuple[str, ...] = ()
    more: int = 0
    href: str = ""


@blueprint.get("/insights")
@signed_in
@whole_team_viewer
@queued_per_portal
def show_insights(user: CurrentUser) -> ResponseReturnValue:
    """Show how people set up their calendars: administrators see names, others only numbers of larger groups."""
    is_admin, now = user.person.is_admin, services().now()
    min_group_size = small_groups.NO_MINIMUM if is_admin else small_groups.MIN_GROUP_SIZE
    with services().database.read_session() as session:
        counts = services().settings_counts.get(session, user.portal, now=now)
        context: dict[str, Any] = {"people_by_filter": {}}
        context["too_few"] = counts.people < small_groups.min_people(is_admin=is_admin)
        if not context["too_few"]:
            context |= _charts(counts, now=now, user_zone=user.time_zone, min_group_size=min_group_size)
            if user.portal.recommended:
                differences = services().difference_counts.get(session, user.portal, now=now)
                context["recommended"] = recommended.insight_rows(
                    user.portal, differences, min_group_size=min_group_size
                )
            if is_admin:
                figures = [*context["findings"], *context["differences"]]
                context["people_by_filter"] = _figure_people(session, user.portal, figures)
    return render_template(
        "insights.html",
        **page_context(user.portal, user.person, current="/insights"),
        counts=counts,
        anonymous=not is_admin,
        now=now,
        user_zone=user.time_zone,
        **context,
    )


def _charts(counts: SettingsCounts, *, now: datetime, user_zone: tzinfo, min_group_size: int) -> dict[str, Any]:
    groups = insights.hours_groups(counts, min_group_size=min_group_size)
    day = insights.team_day(groups, day=now.astimezone(user_zone).date(), user_zone=user_zone)
    return {
        "findings": findings.list_findings(counts, day, now=now, min_group_size=min_group_size),
        "day": day,
        "slots": charts.slot_columns(day),
        **_zones(counts, now=now, min_group_size=min_group_size),
        "views": _views(counts, min_group_size=min_group_size),
        "reminder_counts": _reminder_counts(counts, min_group_size=min_group_size),
        "usual_reminders": _usual_reminders(counts, min_group_size=min_group_size),
        "differences": [
            difference
            for difference in insights.differences(counts, min_group_size=min_group_size)
            # A minority that declines when busy is already a finding.
            if difference.setting != findings.DECLINES_WHEN_BUSY or difference.majority
        ],
        "majority_text": _majority_text,
        "label": insight_people.label,
    }


def _zones(counts: SettingsCounts, *, now: datetime, min_group_size: int) -> dict[str, Any]:
    """Return the time zones of the chart, those of the list, and how many people are in none of them."""
    counts_by_zone = suppress_small_groups(settings_counts.zones(counts), min_group_size=min_group_size)
    groups = [(zone, people) for zone, people in counts_by_zone.groups if zone]
    zones = sorted(groups, key=lambda group: (-group[1], *filters.zone_order(group[0], now)))
    return {
        "clocks": charts.clock_columns(zones, now=now),
        "zones": zones[:MAX_ZONES],
        "zones_more": zones[MAX_ZONES:],
        "zones_suppressed": counts_by_zone.suppressed,
        "zones_unknown": counts_by_zone.size_of(""),
    }


def _views(counts: SettingsCounts, *, min_group_size: int) -> list[charts.Bar]:
    names = {"other": _("Other"), "": _("Not set")}
    linked = settings_counts.USUAL_VIEWS if min_group_size == small_groups.NO_MINIMUM else ()
    return charts.bars(
        suppress_small_groups(counts.views, min_group_size=min_group_size),
        title=lambda view: names.get(view) or labels.view(view),
        others=_("Others"),
        href=lambda view: charts.team_url(view=view) if view in linked else None,
    )


def _reminder_counts(counts: SettingsCounts, *, min_group_size: int) -> list[charts.Bar]:
    # *Team* counts those who never opened the application as unknown too, so that figure has no link.
    linked = {*team_row.REMINDERS} - {"unknown"} if min_group_size == small_groups.NO_MINIMUM else ()
    return charts.bars(
        suppress_small_groups(settings_counts.reminder_counts(counts), min_group_size=min_group_size),
        title=lambda key: _(team_row.REMINDERS[key]),
        others=_("Others"),
        href=lambda key: charts.team_url(reminders=key) if key in linked else None,
    )


def _usual_reminders(counts: SettingsCounts, *, min_group_size: int) -> list[tuple[str, int]]:
    rows = settings_counts.usual_reminders(counts, limit=MAX_USUAL_REMINDERS)
    return [(team_row.reminder_text(reminder), people) for reminder, people in rows if people >= min_group_size]


def _figure_people(
    session: Session, portal: Portal, figures: Sequence[InsightFinding | Difference]
) -> dict[PeopleFilter, FigurePeople]:
    people: dict[PeopleFilter, FigurePeople] = {}
    for figure in figures:
        if isinstance(figure, InsightFinding):
            number, code = figure.people, figure.code
        else:
            number, code = figure.others, figure.setting
        if figure.filter is not None and figure.filter not in people:
            rows = insight_queries.people_names(session, portal, figure.filter)
            names = [labels.person_name(name, user_id) for user_id, name in rows]
            people[figure.filter] = FigurePeople(tuple(names), number - len(names), insight_people.people_path(code))
    return people


def _majority_text(difference: Difference) -> str:
    match difference.majority:
        case bool():
            return _("Yes") if difference.majority else _("No")
        case Span():
            return filters.hours(difference.majority)
    return team_row.reminder_text(difference.majority)
