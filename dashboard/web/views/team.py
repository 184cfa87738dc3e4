"""Show everyone's settings in one table, with a chart of the day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from dashboard.models import Portal
from dashboard.people import access, departments
from dashboard.team import availability, listing, recommendations, statistics
from dashboard.team.statistics import TeamStats
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import day_chart, filters, labels, recommended, team_query, team_row
from dashboard.web.presenters.first_steps import first_steps
from dashboard.web.presenters.invitation import invitation
from dashboard.web.presenters.page_context import FullPage, page_context
from dashboard.web.presenters.run_status import run_status
from dashboard.web.presenters.team_query import TeamQuery
from dashboard.web.views.team_sync import visible_progress

blueprint = Blueprint("team", __name__)


@blueprint.get("/team")
@signed_in
@team_viewer
def show_team(user: CurrentUser) -> ResponseReturnValue:
    """Show everyone's settings."""
    return team_page(user, team_query.parse_team_query(request.args, today=today(user)))


def today(user: CurrentUser) -> date:
    """Return today's date in the user's time zone."""
    return services().now().astimezone(user.time_zone).date()


@queued_per_portal
def team_page(user: CurrentUser, query: TeamQuery, *, full_page: FullPage | None = None) -> str:
    """Return the page *Team*; the caller has checked that the user may see it."""
    portal, person, user_zone = user.portal, user.person, user.time_zone
    now = services().now()
    with services().database.read_session() as session:
        visible = access.visible_people(portal, person)
        # The shared cache holds the whole team, so the numbers of a part are always counted.
        stats = (
            statistics.team_stats(session, portal, now, *visible)
            if visible
            else services().team_stats.get(session, portal, now=now)
        )
        differ = _count_differing(session, portal, visible, now=now)
        department_options = departments.options(session, portal, visible)
        workdays = statistics.days_off(session, person)
        shown = stats
        if query.is_filtered:
            matching = listing.matching(portal, query.filter, now)
            shown = statistics.team_stats(session, portal, now, *matching, *visible, lists_views=False)
        page = listing.team_page(
            session,
            portal,
            query.filter,
            now=now,
            sort=query.sort,
            number=query.number,
            total=shown.total,
            city=filters.zone_city,
            visible=visible,
        )
    day = query.range.day if query.range else today(user)
    return render_template(
        "team.html",
        **page_context(portal, person, current="/team", full_page=full_page),
        now=now,
        user_zone=user_zone,
        query=query,
        page=page,
        stats=stats,
        shown=shown,
        at_work=availability.people_at_work(shown.groups, moment=now, workdays=workdays),
        chart=day_chart.build(shown.groups, day=day, now=now, user_zone=user_zone, workdays=workdays),
        workdays=workdays,
        differ=differ,
        directory_at=portal.directory_at,
        directory_error=portal.directory_error,
        steps=first_steps(portal, person, stats),
        invitation=invitation(portal, translations.current()),
        run=run_status(visible_progress(user), now=now, user_zone=user_zone),
        **_options(stats),
        differs_options=recommended.differs_options(portal),
        department_options=[(str(number), name) for number, name in department_options],
        has_departments=bool(department_options),
    )


def _count_differing(session: Session, portal: Portal, visible: Sequence[ColumnElement[bool]], *, now: datetime) -> int:
    """Return how many of the visible people differ from what the portal recommends."""
    if not portal.recommended:
        return 0
    if visible:
        return recommendations.count_differences(session, portal, *visible).differ
    return services().difference_counts.get(session, portal, now=now).differ


def _options(stats: TeamStats) -> dict[str, list[tuple[str, str]]]:
    views = [*labels.VIEWS, *(name for name in stats.views if name not in labels.VIEWS)]
    return {
        "view_options": [(name, labels.view(name)) for name in views],
        "zone_options": [(name, name) for name in stats.zones],
        "reminder_options": [(name, _(label)) for name, label in team_row.REMINDERS.items()],
        "state_options": [(name, _(label)) for name, label in team_row.STATES.items()],
    }
