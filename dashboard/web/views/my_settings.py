"""The pages the frame asks for with its session token."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dashboard.bitrix24.errors import Bitrix24Error, Unreadable
from dashboard.calendar import parser
from dashboard.calendar.parser import CalendarSettings
from dashboard.models import Person, Portal
from dashboard.people.snapshots import Snapshots
from dashboard.web.auth.sessions import CurrentUser, Sessions
from dashboard.web.errors.handlers import answer
from dashboard.web.errors.notices import Notice, token_notice
from dashboard.web.errors.responses import error_response
from dashboard.web.presenters.page_context import FullPage, page_context


def blueprint(*, snapshots: Snapshots, sessions: Sessions) -> Blueprint:
    """Return the routes of the person's own page."""
    pages = Blueprint("pages", __name__)

    @pages.get("/me")
    @sessions.required
    def me(reader: CurrentUser) -> ResponseReturnValue:
        """Show the person's own settings as last read."""
        my = snapshots.get(reader.person)
        if my is None:
            return answer(error_response(Unreadable("never_read")))
        return me_page(reader.portal, reader.person, my, notice=token_notice(reader.person))

    @pages.post("/me/refresh")
    @sessions.required
    def refresh(reader: CurrentUser) -> ResponseReturnValue:
        """Read the settings from Bitrix24 now; when that fails, say why above what was read last."""
        before = snapshots.get(reader.person)
        try:
            my = snapshots.refresh(reader.portal, reader.person)
        except Bitrix24Error as error:
            failure = error_response(error)
            response = answer(failure)
            if before is not None:
                response.set_data(me_page(reader.portal, reader.person, before, notice=failure.notice))
            return response
        return me_page(reader.portal, reader.person, my, changed=parser.changed_keys(before, my))

    return pages


def me_page(
    portal: Portal,
    person: Person,
    my: CalendarSettings,
    *,
    notice: Notice | None = None,
    changed: tuple[str, ...] | None = None,
    first_open: bool = False,
    whole: FullPage | None = None,
) -> str:
    """Return the page *My settings*, whole or as a part; ``changed`` names what a refresh found new."""
    return render_template(
        "me.html",
        **page_context(portal, person, current="/me", whole=whole),
        my=my,
        now=datetime.now(UTC),
        notice=notice,
        changed=changed,
        first_open=first_open,
    )
