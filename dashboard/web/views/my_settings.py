"""Show the user their own calendar settings, and refresh them."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dashboard.bitrix24.errors import Bitrix24Error, Unreadable
from dashboard.calendar import parser
from dashboard.calendar.parser import CalendarSettings
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import Notice, response_for_error, token_notice
from dashboard.web.http.context import services
from dashboard.web.presenters.page_context import FullPage, page_context

blueprint = Blueprint("my_settings", __name__)


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
    first_open: bool = False,
    full_page: FullPage | None = None,
) -> str:
    """Return the page *My settings*; ``changed`` names the settings that a refresh found changed."""
    return render_template(
        "me.html",
        **page_context(user.portal, user.person, current="/me", full_page=full_page),
        my=settings,
        now=services().now(),
        notice=notice,
        changed=changed,
        first_open=first_open,
    )
