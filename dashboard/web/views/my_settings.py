"""Show the user their own calendar settings, and refresh them."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dashboard.bitrix24.errors import Bitrix24Error, Unreadable
from dashboard.calendar import parser
from dashboard.calendar.parser import CalendarSettings
from dashboard.models import Person
from dashboard.people import history
from dashboard.people.history import Changes
from dashboard.people.snapshot_store import is_corrupted_code
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import Notice, response_for_error, token_notice
from dashboard.web.http.context import services
from dashboard.web.presenters import recommended, setting_changes, setting_editors, setting_history
from dashboard.web.presenters.clock_note import own_clock_note
from dashboard.web.presenters.page_context import FullPage, page_context
from dashboard.web.presenters.setting_changes import ChangeOutcome

blueprint = Blueprint("my_settings", __name__)

SHOWN_CHANGES = 3


@blueprint.get("/me")
@signed_in
def show_my_settings(user: CurrentUser) -> ResponseReturnValue:
    """Show the user's settings as last read."""
    settings = services().snapshots.get(user.person)
    if settings is None:
        return render_error(response_for_error(Unreadable("never_read")))
    return my_settings_page(user, settings, notice=token_notice(user.person))


@blueprint.post("/me/refresh")
@signed_in
def refresh_my_settings(user: CurrentUser) -> ResponseReturnValue:
    """Read the settings from Bitrix24 now; if that fails, say why above the last known settings."""
    before = services().snapshots.get(user.person)
    try:
        settings = services().snapshots.refresh(user.portal, user.person)
    except Bitrix24Error as error:
        failure = response_for_error(error)
        response = render_error(failure)
        if before is not None:
            response.set_data(my_settings_page(user, before, notice=failure.notice))
        return response
    return my_settings_page(user, settings, changed=parser.changed_keys(before, settings))


def my_settings_page(
    user: CurrentUser,
    settings: CalendarSettings,
    *,
    notice: Notice | None = None,
    changed: tuple[str, ...] | None = None,
    outcome: ChangeOutcome | None = None,
    first_open: bool = False,
    full_page: FullPage | None = None,
    changes: Changes | None = None,
) -> str:
    """Return the page *My settings*.

    :param changed: the settings that a refresh found changed.
    :param outcome: of the change that the page answers.
    :param changes: the person's latest ones, if they have been read already.
    """
    rows, change_count = changes or _latest_changes(user.person)
    now, editable = services().now(), setting_changes.editable_keys(settings, user.person)
    undoable = setting_changes.undoable_ids(settings, rows, editable=editable)
    states = setting_changes.states(rows, editable=editable, undoable=undoable, outcome=outcome, now=now)
    entries = setting_history.history_entries(
        rows, now=now, tz=settings.zone.tz(), undoable=undoable, limit=SHOWN_CHANGES + 1
    )
    return render_template(
        "me.html",
        **page_context(user.portal, user.person, current="/me", full_page=full_page),
        my=settings,
        now=now,
        clock_note=own_clock_note(settings.zone.believed.name, now=now),
        notice=notice,
        changed=changed,
        outcome=outcome,
        editable=editable,
        states=states,
        switches=setting_editors.switch_rows(settings, editable, states),
        calendar_entries=setting_editors.calendar_entries(settings),
        reminder_editor=setting_editors.reminder_editor(settings, editable),
        changes=entries[:SHOWN_CHANGES],
        has_more_changes=len(entries) > SHOWN_CHANGES,
        change_count=change_count,
        recommended=recommended.personal_card(user.portal, settings, editable),
        can_reset=is_corrupted(settings),
        first_open=first_open,
    )


def _latest_changes(person: Person) -> Changes:
    with services().database.read_session() as session:
        return history.list_changes(session, person, limit=history.MAX_LATEST_CHANGES)


def is_corrupted(settings: CalendarSettings) -> bool:
    """Tell whether Bitrix24 could not return the settings because one of them is corrupted."""
    return is_corrupted_code(settings.errors.get(parser.USER_SETTINGS_METHOD, ""))
