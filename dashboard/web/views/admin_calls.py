"""The calls of the last three days, for the portal's administrators: what was asked and answered, masked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from babel.numbers import format_decimal
from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.core.database import Database
from dashboard.core.json_values import Json, printable
from dashboard.models import ApiCall
from dashboard.portals import call_log_pages
from dashboard.portals.call_log_pages import ANY_ERROR, NO_CODE, CallFilter
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import CurrentUser, Sessions
from dashboard.web.errors.error_labels import is_known_code
from dashboard.web.i18n.translations import _, current
from dashboard.web.presenters.page_context import page_context
from dashboard.web.views.team import clock_of

ADDRESS = "/admin/calls"
MAX_QUERY_LENGTH = 3000  # characters of one answer on the page; a batch of fifty has many times that
MAX_WORD_LENGTH = 64


@dataclass(frozen=True)
class CallRow:
    """A call as a row."""

    at: datetime
    method: str
    status: int | None
    error: str | None
    reason: str
    milliseconds: str
    sent: str
    received: str
    parameters: str
    answer: str


@dataclass(frozen=True)
class CallQuery:
    """What the page's address asks for."""

    filter: CallFilter
    number: int

    def address(self, *, number: int = 1, **changes: str) -> str:
        """Return the address with another page, or other filters from the first page on."""
        told = {"method": self.filter.method, "error": self.filter.error, **changes}
        told["page"] = str(number) if number > 1 else ""
        query = urlencode({name: value for name, value in told.items() if value})
        return f"{ADDRESS}?{query}" if query else ADDRESS


def blueprint(
    *, database: Database, sessions: Sessions, permissions: Permissions, now: Callable[[], datetime]
) -> Blueprint:
    """Return the route of the calls."""
    routes = Blueprint("calllog", __name__)

    @routes.get(ADDRESS)
    @sessions.required
    @permissions.administrators
    def page(reader: CurrentUser) -> ResponseReturnValue:
        """Show the calls, the newest first."""
        asked = parse_call_query(request.args)
        moment = now()
        with database.read_session() as session:
            found = call_log_pages.call_page(session, reader.portal, asked.filter, number=asked.number, now=moment)
            kinds = call_log_pages.filter_options(session, reader.portal, now=moment)
        return render_template(
            "admin/calls.html",
            **page_context(reader.portal, reader.person, current="/admin"),
            asked=asked,
            calls=[call_row(call) for call in found.calls],
            more=found.more,
            method_options=_options(kinds.methods, asked.filter.method),
            error_options=[
                (ANY_ERROR, _("Failed")),
                *_options(kinds.errors, asked.filter.error, but=ANY_ERROR),
            ],
            clock=clock_of(reader.person),
        )

    return routes


def parse_call_query(query: Mapping[str, str]) -> CallQuery:
    """Return what a query asks for; a page that is no number is the first."""
    number = query.get("page", "")
    fits = number.isascii() and number.isdecimal() and len(number) < 7
    return CallQuery(
        CallFilter(method=_word(query.get("method", "")), error=_word(query.get("error", ""))),
        number=max(1, int(number)) if fits else 1,
    )


def call_row(call: ApiCall) -> CallRow:
    """Return a call in words."""
    locale = current().locale
    return CallRow(
        at=call.at,
        method=call.method,
        status=call.status,
        error=None if call.error is None else call.error or NO_CODE,
        reason=is_known_code(call.error) if call.error is not None else "",
        milliseconds=_("%(number)s ms") % {"number": format_decimal(call.milliseconds, locale=locale)},
        sent=_size(call.sent),
        received=_size(call.received),
        parameters=_text(call.parameters),
        answer=_text(call.answer),
    )


def _size(count: int) -> str:
    locale = current().locale
    if count < 1000:
        return _("%(number)s B") % {"number": format_decimal(count, locale=locale)}
    return _("%(number)s kB") % {"number": format_decimal(round(count / 1000, 1), locale=locale)}


def _text(value: Json) -> str:
    """Return the masked value as indented JSON, cut where it is very long."""
    text = printable(json.dumps(value, indent=1, ensure_ascii=False))
    return text if len(text) <= MAX_QUERY_LENGTH else text[:MAX_QUERY_LENGTH] + "…"


def _word(value: str) -> str:
    # No database takes a zero byte, and no method has one.
    return value.replace("\0", "").strip()[:MAX_WORD_LENGTH]


def _options(values: tuple[str, ...], chosen: str, *, but: str = "") -> list[tuple[str, str]]:
    """Return what the list offers, each value with its words; what was chosen stays among it."""
    return [(value, value) for value in sorted({*values, *({chosen} - {"", but})})]
