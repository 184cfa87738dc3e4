"""Show the application's state in a portal; let administrators recommend settings and decide who may see the team."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.calendar.edits import EDITABLE_KEYS, InvalidEdit
from dashboard.models import Portal
from dashboard.people import access, departments, history
from dashboard.people.access import TeamAccess
from dashboard.people.accounts import find_name
from dashboard.portals import personal_data
from dashboard.portals.portal_lock import lock_portal
from dashboard.sync.last_runs import last_runs
from dashboard.team import recommendations, statistics
from dashboard.web.auth.permissions import administrator, confirm_rights_first
from dashboard.web.auth.sessions import CurrentUser, SessionRefused, queued_per_portal, signed_in
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import response_for_code, response_for_error
from dashboard.web.http.context import services
from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import (
    labels,
    recommended,
    run_history,
    setting_history,
    setup_checklist,
    team_query,
)
from dashboard.web.presenters.first_steps import first_steps
from dashboard.web.presenters.invitation import invitation
from dashboard.web.presenters.page_context import page_context
from dashboard.web.views.team import team_page

MAX_HEADS = 5  # named in one sentence
SHOWN_CHANGES = 3

blueprint = Blueprint("admin", __name__)


@blueprint.get("/admin")
@signed_in
@administrator
def show_admin(user: CurrentUser) -> ResponseReturnValue:
    """Show the state of the installation and the portal's choices."""
    return admin_page(user, user.portal)


@blueprint.get("/admin/changes")
@signed_in
@administrator
@queued_per_portal
def show_changes(user: CurrentUser) -> ResponseReturnValue:
    """Show what has changed in everyone's settings, the newest first."""
    with services().database.read_session() as session:
        rows = history.list_portal_changes(session, user.portal, limit=history.MAX_CHANGES)
    return render_template(
        "history.html",
        **page_context(user.portal, user.person, current="/admin"),
        title=_("Recent changes"),
        back_title=_("Back to Admin"),
        back_path="/admin",
        attributes={"data-history": ""},
        entries=setting_history.portal_entries(rows, now=services().now(), tz=user.time_zone),
    )


@blueprint.post("/admin/team")
@signed_in
@confirm_rights_first
@administrator
def set_team_access(user: CurrentUser) -> ResponseReturnValue:
    """Store who may see the team besides administrators, and who decided it. Of two decisions the later one counts."""
    # Pages that the previous version has sent contain the other field.
    former = {"yes": TeamAccess.EVERYONE, "no": TeamAccess.ADMINISTRATORS}.get(request.form.get("everyone", ""), "")
    who = request.form.get("who", former)
    if who not in list(TeamAccess):
        return render_error(response_for_code("invalid_choice"))

    def store(session: Session) -> Portal:
        portal = _locked_portal(session, user)
        access.allow(portal, TeamAccess(who), by=user.person, at=services().now())
        return portal

    return _page_with_steps(replace(user, portal=services().database.write(store)))


@blueprint.post("/admin/first-steps")
@signed_in
@confirm_rights_first
@administrator
def hide_first_steps(user: CurrentUser) -> ResponseReturnValue:
    """Hide the first steps for all administrators; hiding them twice only changes the time."""

    def store(session: Session) -> Portal:
        portal = _locked_portal(session, user)
        portal.steps_hidden_at = services().now()
        return portal

    return _page_with_steps(replace(user, portal=services().database.write(store)))


@blueprint.post("/admin/recommended")
@signed_in
@confirm_rights_first
@administrator
def set_recommended(user: CurrentUser) -> ResponseReturnValue:
    """Replace what the portal recommends. Of two administrators who save at once, the later one decides."""
    try:
        recommendation = recommendations.parse_recommendation(request.form.items(multi=True))
    except InvalidEdit as error:
        return render_error(response_for_error(error))

    def store(session: Session) -> Portal:
        portal = _locked_portal(session, user)
        recommendations.store_recommendation(portal, recommendation, by=user.person, at=services().now())
        return portal

    return admin_page(user, services().database.write(store))


def _locked_portal(session: Session, user: CurrentUser) -> Portal:
    if not lock_portal(session, user.portal):
        raise SessionRefused("session_invalid")
    return session.get_one(Portal, user.portal.id)


def _page_with_steps(user: CurrentUser) -> str:
    """Return the page on which the first steps were used."""
    if request.form.get("page") == "team":
        return team_page(user, team_query.parse_team_query({}, today=user.today))
    return admin_page(user, user.portal)


@queued_per_portal
def admin_page(user: CurrentUser, portal: Portal) -> str:
    """Return the page *Admin*; the caller has checked that the user is an administrator."""
    now = services().now()
    with services().database.read_session() as session:
        switched_by = find_name(session, portal, portal.team_switched_by)
        runs = last_runs(session, portal)
        stats = statistics.team_stats(session, portal, now)
        uncounted = statistics.count_uncounted(session, portal)
        has_departments = departments.are_known(session, portal)
        heads, head_count = departments.heads(session, portal, limit=MAX_HEADS)
        stored = personal_data.count_stored(session, portal)
        differences = recommendations.count_differences(session, portal)
        recommended_by = find_name(session, portal, portal.recommended_by)
        # As many as the shown ones can be together.
        changes = history.list_portal_changes(session, portal, limit=SHOWN_CHANGES * len(EDITABLE_KEYS) + 1)
    entries = setting_history.portal_entries(changes, now=now, tz=user.time_zone, is_brief=True)
    requirements = setup_checklist.checklist(portal)
    return render_template(
        "admin.html",
        **page_context(portal, user.person, current="/admin"),
        requirements=requirements,
        missing=sum(item.state == "missing" for item in requirements),
        status=setup_checklist.status(portal),
        installed_at=portal.installed_at,
        checked_at=portal.bindings_at,
        runs=[run_history.run_row(run) for run in runs],
        next_run_at=portal.next_run_at,
        directory_at=portal.directory_at,
        directory_error=portal.directory_error,
        stats=stats,
        uncounted=uncounted,
        stored=stored,
        steps=first_steps(portal, user.person, stats),
        invitation=invitation(portal, translations.current()),
        who=str(access.team_access(portal)),
        has_departments=has_departments,
        may_read_departments=departments.may_be_read(portal),
        heads=heads,
        head_count=head_count,
        switched_by=None if switched_by is None else labels.person_name(switched_by, portal.team_switched_by or 0),
        switched_at=portal.team_switched_at,
        recommended=recommended.admin_card(portal, differences, recommended_by),
        changes=entries[:SHOWN_CHANGES],
        has_more_changes=len(entries) > SHOWN_CHANGES,
        now=now,
        user_zone=user.time_zone,
    )
