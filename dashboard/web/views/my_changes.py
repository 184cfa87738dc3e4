"""Change the user's own settings, undo changes, and show their history."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.bitrix24.errors import Bitrix24Error, Limited, NotAnswered, Unreadable
from dashboard.calendar.edits import InvalidEdit, key_of, parse_edits
from dashboard.core.database import UNAVAILABLE
from dashboard.core.json_values import parse_int
from dashboard.people import history
from dashboard.people.change_store import ChangeResult
from dashboard.people.settings_writer import ChangeNotFound, ChangeUnconfirmed
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import ErrorResponse, response_for_code, response_for_error
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import setting_changes, setting_history
from dashboard.web.presenters.page_context import page_context
from dashboard.web.presenters.setting_changes import ChangeOutcome
from dashboard.web.views.my_settings import is_corrupted, my_settings_page

blueprint = Blueprint("my_changes", __name__)


@blueprint.post("/me/settings")
@signed_in
def change_my_settings(user: CurrentUser) -> ResponseReturnValue:
    """Write some of the user's settings, and read them again."""
    fields = tuple(request.form.items(multi=True))
    edits = parse_edits(fields)
    keys = tuple(dict.fromkeys(map(key_of, edits)))
    failed = ChangeOutcome("saved", unchanged=keys, fields=fields)
    return answer_change(user, lambda: services().settings_writer.edit(user.portal, user.person, edits), failed)


@blueprint.post("/me/undo")
@signed_in
def undo_my_change(user: CurrentUser) -> ResponseReturnValue:
    """Undo one of the user's changes and those made together with it."""
    change_id = parse_int(request.form.get("change", ""))
    if change_id is None or set(request.form) != {"change"}:
        raise InvalidEdit("change", "is not a number")
    try:
        undo = services().settings_writer.undo
        return answer_change(user, lambda: undo(user.portal, user.person, change_id), ChangeOutcome("undone"))
    except ChangeNotFound:
        return page_with_error(user, response_for_code("change_not_found"))


@blueprint.get("/me/history")
@signed_in
@queued_per_portal
def show_my_history(user: CurrentUser) -> ResponseReturnValue:
    """Show what has changed in the user's settings, the newest first."""
    with services().database.read_session() as session:
        rows = history.list_changes(session, user.person).rows
    settings = services().snapshots.get(user.person)
    if settings is None:
        return render_error(response_for_error(Unreadable("never_read")))
    editable = setting_changes.editable_keys(settings, user.person)
    undoable = setting_changes.undoable_ids(settings, rows, editable=editable)
    return render_template(
        "history.html",
        **page_context(user.portal, user.person, current="/me"),
        title=_("Changes to my settings"),
        back_title=_("My settings"),
        back_path="/me",
        attributes={},
        entries=setting_history.history_entries(rows, now=services().now(), tz=settings.zone.tz(), undoable=undoable),
    )


def answer_change(user: CurrentUser, change: Callable[[], ChangeResult], failed: ChangeOutcome) -> Response:
    """Make a change, and answer with *My settings* as they are then.

    :param failed: what to say of the change if it is not known to have been made.
    """
    try:
        result = change()
    except Bitrix24Error as error:
        return page_with_error(user, response_for_error(error), error=error, outcome=failed)
    outcome = ChangeOutcome(failed.kind, result.changed, result.unchanged, result.error, failed.fields)
    try:
        response = make_response(my_settings_page(user, result.settings, outcome=outcome))
    except UNAVAILABLE:
        # The page for this error says that nothing has changed.
        return render_error(response_for_error(ChangeUnconfirmed("not_shown")))
    if result.error is not None:
        response.status_code = response_for_error(result.error).status
    return response


@blueprint.get("/me/reset")
@signed_in
def ask_before_reset(user: CurrentUser) -> ResponseReturnValue:
    """Say what a reset of corrupted settings loses, and ask whether to go on."""
    settings = services().snapshots.get(user.person)
    if settings is None or not is_corrupted(settings):
        return page_with_error(user, response_for_code("reset_not_needed"))
    return render_template(
        "me/reset.html",
        **page_context(user.portal, user.person, current="/me"),
        my=settings,
        now=services().now(),
        lost=setting_history.known_values(settings),
    )


@blueprint.post("/me/reset")
@signed_in
def reset_my_settings(user: CurrentUser) -> ResponseReturnValue:
    """Reset the user's corrupted settings to Bitrix24's defaults; readable ones stay as they are."""
    reset = services().settings_writer.reset
    return answer_change(user, lambda: reset(user.portal, user.person), ChangeOutcome("reset"))


def page_with_error(
    user: CurrentUser,
    failure: ErrorResponse,
    *,
    error: Bitrix24Error | None = None,
    outcome: ChangeOutcome | None = None,
) -> Response:
    """Answer with the stored settings: the row, if one is concerned, says what failed, and a notice what to do."""
    response = render_error(failure)
    # If the database fails now, the first failure is the one to show.
    with suppress(*UNAVAILABLE):
        if settings := services().snapshots.get(user.person):
            has_row = outcome is not None and bool(outcome.unchanged)
            is_brief = has_row and isinstance(error, NotAnswered | Limited)
            notice = None if is_brief else failure.notice
            outcome = replace(outcome, error=error) if outcome and error else None
            response.set_data(my_settings_page(user, settings, notice=notice, outcome=outcome))
    return response
