"""Start, cancel and follow the update of everyone's settings."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint
from flask.typing import ResponseReturnValue

from dashboard.people import access
from dashboard.portals.throttle import Limit
from dashboard.sync.progress import RunProgress
from dashboard.web.auth.permissions import administrator, team_viewer
from dashboard.web.auth.sessions import CurrentUser, SessionRefused, signed_in
from dashboard.web.http.context import services
from dashboard.web.presenters.run_status import RunStatus, run_status

blueprint = Blueprint("team_sync", __name__)

# Per portal. Runs are kept for thirty days, and those of a portal without people end at once.
REQUESTED_RUN_LIMIT = Limit(depth=60, seconds=60)


@blueprint.get("/team/sync")
@signed_in
@team_viewer
def show_sync(user: CurrentUser) -> ResponseReturnValue:
    """Return the state of the last update."""
    return _status(user, visible_progress(user)).to_response()


@blueprint.post("/team/sync")
@signed_in
@team_viewer
@administrator
def start_sync(user: CurrentUser) -> ResponseReturnValue:
    """Start an update, or return the one that is under way.

    :raise OwnLimit: the portal's administrators have started too many.
    """
    services().throttle.take(f"runs {user.portal.member_id}", REQUESTED_RUN_LIMIT, code="too_many_runs")
    run = services().runs.request(user.portal, by=user.person.user_id)
    if run is None:
        raise SessionRefused("session_invalid")
    return _status(user, run).to_response(202)


@blueprint.post("/team/sync/cancel")
@signed_in
@team_viewer
@administrator
def cancel_sync(user: CurrentUser) -> ResponseReturnValue:
    """Cancel the update that is under way."""
    if not services().runs.cancel(user.portal):
        raise SessionRefused("session_invalid")
    return _status(user, services().runs.progress(user.portal)).to_response()


def visible_progress(user: CurrentUser) -> RunProgress | None:
    """Return the last update; its numbers count the whole team, so heads of departments do not see them."""
    progress = services().runs.progress(user.portal)
    if progress is None or access.can_see_whole_team(user.portal, user.person):
        return progress
    return replace(progress, total=0, done=0, failed=0)


def _status(user: CurrentUser, run: RunProgress | None) -> RunStatus:
    return run_status(run, now=services().now(), user_zone=user.time_zone)
