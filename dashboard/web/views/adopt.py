"""Let people adopt the recommended settings, all or some of them, for themselves."""

from __future__ import annotations

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from dashboard.calendar import edits
from dashboard.calendar.edits import InvalidEdit
from dashboard.people.change_store import ChangeResult
from dashboard.people.history import ChangeSource
from dashboard.team import recommendations
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.errors.responses import response_for_code
from dashboard.web.http.context import services
from dashboard.web.presenters.setting_changes import ChangeOutcome
from dashboard.web.views.my_changes import answer_change, page_with_error

blueprint = Blueprint("adopt", __name__)

_NAMES = frozenset((*edits.FIELDS, *edits.EDITABLE_KEYS))


@blueprint.post("/me/adopt")
@signed_in
def adopt_recommended(user: CurrentUser) -> ResponseReturnValue:
    """Write the recommended settings that differ from the user's own; one undo takes all of them back.

    ``key`` names some of them, as Bitrix24 or as our forms name them. ``decided_at`` is what the page has shown: if an
    administrator has decided anew since, nothing is written, and the answer shows the new ones.
    """
    if unknown := request.form.keys() - {"key", "decided_at"}:
        raise InvalidEdit(min(unknown), "is not a field")
    names = set(request.form.getlist("key"))
    if not names <= _NAMES:
        raise InvalidEdit("key", "is not a setting")
    decided_at = user.portal.recommended_at
    seen = request.form.get("decided_at")
    if seen is not None and (decided_at is None or seen != decided_at.isoformat()):
        return page_with_error(user, response_for_code("recommendation_changed"))
    chosen = {
        field: value
        for field, value in recommendations.recommendation_of(user.portal).values.items()
        if not names or names & {field, edits.key_of(field)}
    }

    def adopt() -> ChangeResult:
        return services().settings_writer.edit(user.portal, user.person, chosen, source=ChangeSource.ADOPTED)

    keys = tuple(dict.fromkeys(map(edits.key_of, chosen)))
    fields = tuple(("key", name) for name in sorted(names))
    return answer_change(user, adopt, ChangeOutcome("adopted", unchanged=keys, fields=fields))
