"""The team's page: everyone's settings, and the day drawn over them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.calendar.time_zones import parse_zone_name
from dashboard.core.database import Database
from dashboard.models import Person, Portal
from dashboard.people.directory import INCOMPLETE
from dashboard.sync.runs import Runs
from dashboard.team import listing, statistics
from dashboard.team.statistics import TeamStats
from dashboard.team.statistics_cache import TeamStatsCache
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import CurrentUser, Sessions
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import day_chart, team_query, team_row
from dashboard.web.presenters.labels import VIEWS
from dashboard.web.presenters.page_context import FullPage, page_context
from dashboard.web.presenters.run_status import run_status
from dashboard.web.presenters.team_query import TeamQuery


class TeamPages:
    """The page *Team*, for whoever may see it."""

    def __init__(self, *, database: Database, runs: Runs, now: Callable[[], datetime]) -> None:
        self._database = database
        self._runs = runs
        self._counted = TeamStatsCache()
        self._now = now

    def today(self, person: Person) -> date:
        """Return today's date where the person's own calendar is."""
        return self._now().astimezone(clock_of(person)).date()

    def page(self, portal: Portal, person: Person, view: TeamQuery, *, whole: FullPage | None = None) -> str:
        """Return the page, whole or as a part; the caller has made sure that the person may see it."""
        now, clock = self._now(), clock_of(person)
        with self._database.read_session() as session:
            numbers = self._counted.get(session, portal, now=now)
            workdays = statistics.workdays(session, person)
            shown = listing.team_page(
                session,
                portal,
                view.filter,
                now=now,
                sort=view.sort,
                number=view.number,
                total=None if view.filtered else numbers.total,
            )
        day = view.range.day if view.range else self.today(person)
        return render_template(
            "team.html",
            **page_context(portal, person, current="/team", whole=whole),
            now=now,
            clock=clock,
            asked=view,
            page=shown,
            numbers=numbers,
            at_work=day_chart.at_work(numbers.groups, now=now, workdays=workdays),
            picture=day_chart.draw(numbers.groups, day=day, now=now, reader=clock, workdays=workdays),
            workdays=workdays,
            incomplete=portal.directory_error == INCOMPLETE,
            beginning=person.is_admin and numbers.opened * 2 < numbers.total,
            run=run_status(self._runs.progress(portal), now=now, clock=clock),
            **_options(numbers),
            link=f"{portal.origin}/marketplace/view/{portal.app_code}/" if portal.app_code else None,
        )


def blueprint(*, pages: TeamPages, sessions: Sessions, permissions: Permissions) -> Blueprint:
    """Return the route of the team's page."""
    routes = Blueprint("team", __name__)

    @routes.get("/team")
    @sessions.required
    @permissions.team
    def page(reader: CurrentUser) -> ResponseReturnValue:
        """Show everyone's settings."""
        view = team_query.parse_team_query(request.args, today=pages.today(reader.person))
        return pages.page(reader.portal, reader.person, view)

    return routes


def _options(numbers: TeamStats) -> dict[str, list[tuple[str, str]]]:
    """Return what the lists above the table offer: each value with its name."""
    views = [*VIEWS, *(name for name in numbers.views if name not in VIEWS)]
    return {
        "view_options": [(name, team_row.view(name)) for name in views],
        "zone_options": [(name, name) for name in numbers.zones],
        "reminder_options": [(name, _(words)) for name, words in team_row.REMINDERS.items()],
        "state_options": [(name, _(words)) for name, words in team_row.STATES.items()],
    }


def clock_of(person: Person) -> tzinfo:
    """Return the zone of the person's calendar, else of their profile, else UTC."""
    for name in (person.calendar_zone, person.time_zone):
        if zone := parse_zone_name(name):
            return ZoneInfo(zone.name)
    return UTC
