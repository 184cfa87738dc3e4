"""How the application is doing in a portal, and what administrators decide for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.core.database import Database
from dashboard.models import Portal
from dashboard.people import access
from dashboard.portals import personal_data, requirements
from dashboard.portals.portal_lock import lock_portal
from dashboard.team import statistics
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import CurrentUser, SessionRefused, Sessions
from dashboard.web.errors.handlers import answer
from dashboard.web.errors.notices import Notice
from dashboard.web.errors.responses import ErrorResponse
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import run_history, setup_checklist
from dashboard.web.presenters.page_context import page_context
from dashboard.web.views.team import clock_of


def blueprint(
    *, database: Database, sessions: Sessions, permissions: Permissions, now: Callable[[], datetime]
) -> Blueprint:
    """Return the routes of *Admin*."""
    routes = Blueprint("admin", __name__)

    @routes.get("/admin")
    @sessions.required
    @permissions.administrators
    def page(reader: CurrentUser) -> ResponseReturnValue:
        """Show how it is doing, and what is decided for the portal."""
        return _page(reader, reader.portal)

    @routes.post("/admin/team")
    @sessions.required
    @permissions.confirmed
    @permissions.administrators
    def switch(reader: CurrentUser) -> ResponseReturnValue:
        """Decide who may see the team besides administrators, and remember who decided it."""
        everyone = request.form.get("everyone")
        if everyone not in ("yes", "no"):
            return answer(_not_a_choice())

        def decide(session: Session) -> Portal:
            if not lock_portal(session, reader.portal):
                raise SessionRefused("session_invalid")
            portal = session.get_one(Portal, reader.portal.id)
            portal.team_open = everyone == "yes"
            portal.team_switched_by, portal.team_switched_at = reader.person.user_id, now()
            return portal

        return _page(reader, database.write(decide))

    def _page(reader: CurrentUser, portal: Portal) -> str:
        moment = now()
        with database.read_session() as session:
            switched_by = access.name_of(session, portal, portal.team_switched_by)
            runs = requirements.last_runs(session, portal)
            numbers = statistics.team_stats(session, portal, now=moment)
            held = personal_data.count_stored(session, portal)
        checks = setup_checklist.checklist(portal)
        return render_template(
            "admin.html",
            **page_context(portal, reader.person, current="/admin"),
            checks=checks,
            missing=setup_checklist.missing(checks),
            status=setup_checklist.status(portal),
            installed_at=portal.installed_at,
            looked_at=portal.bindings_at,
            runs=[run_history.run_rows(run) for run in runs],
            next_run_at=portal.next_run_at,
            directory_at=portal.directory_at,
            directory_error=portal.directory_error,
            numbers=numbers,
            held=held,
            team_open=portal.team_open,
            switched_by=switched_by,
            switched_at=portal.team_switched_at,
            now=moment,
            clock=clock_of(reader.person),
        )

    return routes


def _not_a_choice() -> ErrorResponse:
    notice = Notice(
        "invalid_request",
        _("Something was wrong with that request"),
        _("The choice of who may see the team was not valid. Nothing was changed."),
        _("What to do:"),
        _("Choose one of the options and try again."),
    )
    return ErrorResponse(400, notice)
