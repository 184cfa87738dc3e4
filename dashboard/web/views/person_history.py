"""Show whoever may see a colleague on *Team* what has changed in that person's settings."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from dashboard.people import access, history
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import setting_history
from dashboard.web.presenters.page_context import page_context

blueprint = Blueprint("person_history", __name__)


@blueprint.get("/team/<int:user_id>/history")
@signed_in
@team_viewer
@queued_per_portal
def show_person_history(user: CurrentUser, user_id: int) -> ResponseReturnValue:
    """Show what has changed in a colleague's settings; whoever may not be seen is not found."""
    with services().database.read_session() as session:
        person = access.find_visible_colleague(session, user.portal, user.person, user_id)
        if person is None:
            raise NotFound
        rows = history.list_changes(session, person).rows
    return render_template(
        "history.html",
        **page_context(user.portal, user.person, current="/team"),
        title=_("Changes"),
        back_title=_("Team"),
        back_path="/team",
        name=person.name,
        attributes={"data-history": user_id},
        entries=setting_history.history_entries(rows, now=services().now(), tz=user.time_zone),
    )
