"""Show the invitation to open the application, to copy in the language of the one who is invited."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.core.json_values import parse_int
from dashboard.models import Person
from dashboard.people import access
from dashboard.web.auth.permissions import team_viewer
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.http.context import services
from dashboard.web.i18n import translations
from dashboard.web.presenters.invitation import invitation
from dashboard.web.presenters.page_context import page_context

blueprint = Blueprint("invitation", __name__)


@blueprint.get("/team/invitation")
@signed_in
@team_viewer
def show_invitation(user: CurrentUser) -> ResponseReturnValue:
    """Show the invitation in the chosen language, else in that of the invited person or of the reader."""
    invited = _invited(user)
    codes = (request.args.get("language"), invited.language if invited else "", user.person.language)
    available = dict(translations.available())
    code = next((code for code in map(translations.code_of, codes) if code in available), "en")
    return render_template(
        "team/invitation.html",
        **page_context(user.portal, user.person, current="/team"),
        invited=invited,
        invitation=invitation(user.portal, translations.find(code)),
        language_options=list(available.items()),
        code=code,
    )


def _invited(user: CurrentUser) -> Person | None:
    """Return the person named in the URL, if the reader may see them."""
    user_id = parse_int(request.args.get("user"))
    if not user_id:
        return None
    with services().database.read_session() as session:
        return access.find_visible_colleague(session, user.portal, user.person, user_id)
