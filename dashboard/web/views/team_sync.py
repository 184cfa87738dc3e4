"""Reading everyone now: administrators begin and end it, whoever sees the team may watch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint
from flask.typing import ResponseReturnValue

from dashboard.sync.progress import RunProgress
from dashboard.sync.runs import Runs
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import CurrentUser, SessionRefused, Sessions
from dashboard.web.presenters.run_status import RunStatus, run_status
from dashboard.web.views.team import clock_of


def blueprint(*, runs: Runs, sessions: Sessions, permissions: Permissions, now: Callable[[], datetime]) -> Blueprint:
    """Return the routes of the team's reading."""
    routes = Blueprint("sync", __name__)

    @routes.get("/team/sync")
    @sessions.required
    @permissions.team
    def progress(reader: CurrentUser) -> ResponseReturnValue:
        """Tell how the reading stands."""
        return told(reader, runs.progress(reader.portal)).answer()

    @routes.post("/team/sync")
    @sessions.required
    @permissions.team
    @permissions.administrators
    def begin(reader: CurrentUser) -> ResponseReturnValue:
        """Begin reading everyone, or tell of the reading that is under way."""
        run = runs.request(reader.portal, by=reader.person.user_id)
        if run is None:
            raise SessionRefused("session_invalid")
        return told(reader, run).answer(202)

    @routes.post("/team/sync/cancel")
    @sessions.required
    @permissions.team
    @permissions.administrators
    def cancel(reader: CurrentUser) -> ResponseReturnValue:
        """End the reading that is under way."""
        if not runs.cancel(reader.portal):
            raise SessionRefused("session_invalid")
        return told(reader, runs.progress(reader.portal)).answer()

    def told(reader: CurrentUser, run: RunProgress | None) -> RunStatus:
        return run_status(run, now=now(), clock=clock_of(reader.person))

    return routes
