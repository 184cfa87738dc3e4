"""Let administrators recommend settings to everyone in the portal."""

from __future__ import annotations

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.calendar.edits import InvalidEdit
from dashboard.models import Portal
from dashboard.portals.portal_lock import lock_portal
from dashboard.team import recommendations
from dashboard.web.auth.permissions import administrator, confirm_rights_first
from dashboard.web.auth.sessions import CurrentUser, SessionRefused, signed_in
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import response_for_error
from dashboard.web.http.context import services
from dashboard.web.views.admin import admin_page

blueprint = Blueprint("recommended", __name__)


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
        if not lock_portal(session, user.portal):
            raise SessionRefused("session_invalid")
        portal = session.get_one(Portal, user.portal.id)
        recommendations.store_recommendation(portal, recommendation, by=user.person, at=services().now())
        return portal

    return admin_page(user, services().database.write(store))
