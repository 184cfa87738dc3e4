"""Show everyone's settings in one table, with a chart of the day."""

from __future__ import annotations

from datetime import date

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.people.directory import INCOMPLETE
from dashboard.team import listing, statistics
from dashboard.team.statistics import TeamStats
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import day_chart, team_query, team_row
from dashboard.web.presenters.labels import VIEWS
from dashboard.web.presenters.page_context import FullPage, page_context
from dashboard.web.presenters.run_status import run_status
from dashboard.web.presenters.team_query import TeamQuery

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


def team_page(user: CurrentUser, query: TeamQuery, *, full_page: FullPage | None = None) -> str:
    """Return the page *Team*; the caller has checked that the user may see it."""
    portal, person, clock = user.portal, user.person, user.time_zone
    now = services().now()
    with services().database.read_session() as session:
        numbers = services().team_stats.get(session, portal, now=now)
        workdays = statistics.workdays(session, person)
        page = listing.team_page(
            session,
            portal,
            query.filter,
            now=now,
            sort=query.sort,
            number=query.number,
            total=None if query.filtered else numbers.total,
        )
    day = query.range.day if query.range else today(user)
    return render_template(
        "team.html",
        **page_context(portal, person, current="/team", whole=full_page),
        now=now,
        clock=clock,
        asked=query,
        page=page,
        numbers=numbers,
        at_work=day_chart.at_work(numbers.groups, now=now, workdays=workdays),
        picture=day_chart.draw(numbers.groups, day=day, now=now, reader=clock, workdays=workdays),
        workdays=workdays,
        incomplete=portal.directory_error == INCOMPLETE,
        beginning=person.is_admin and numbers.opened * 2 < numbers.total,
        run=run_status(services().runs.progress(portal), now=now, clock=clock),
        **_options(numbers),
        link=f"{portal.origin}/marketplace/view/{portal.app_code}/" if portal.app_code else None,
    )


def _options(numbers: TeamStats) -> dict[str, list[tuple[str, str]]]:
    """Return the options of each filter: values with their names."""
    views = [*VIEWS, *(name for name in numbers.views if name not in VIEWS)]
    return {
        "view_options": [(name, team_row.view(name)) for name in views],
        "zone_options": [(name, name) for name in numbers.zones],
        "reminder_options": [(name, _(words)) for name, words in team_row.REMINDERS.items()],
        "state_options": [(name, _(words)) for name, words in team_row.STATES.items()],
    }
