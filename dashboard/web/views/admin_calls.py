"""Show administrators their portal's REST calls of the last three days, with personal data masked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from babel.numbers import format_decimal
from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.core.json_values import Json, printable
from dashboard.models import ApiCall
from dashboard.portals import call_log_pages
from dashboard.portals.call_log_pages import ANY_ERROR, NO_CODE, CallFilter
from dashboard.web.auth.permissions import administrator
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.errors.responses import known_label
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _, current
from dashboard.web.presenters.page_context import page_context

ADDRESS = "/admin/calls"
MAX_QUERY_LENGTH = 3000  # characters of one answer on the page; a batch of fifty has many times that
MAX_WORD_LENGTH = 64

blueprint = Blueprint("admin_calls", __name__)


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


@blueprint.get(ADDRESS)
@signed_in
@administrator
def show_calls(user: CurrentUser) -> ResponseReturnValue:
    """Show the calls, newest first."""
    query = parse_call_query(request.args)
    now = services().now()
    with services().database.read_session() as session:
        page = call_log_pages.call_page(session, user.portal, query.filter, number=query.number, now=now)
        options = call_log_pages.filter_options(session, user.portal, now=now)
    return render_template(
        "admin/calls.html",
        **page_context(user.portal, user.person, current="/admin"),
        query=query,
        calls=[call_row(call) for call in page.calls],
        more=page.more,
        method_options=_options(options.methods, query.filter.method),
        error_options=[(ANY_ERROR, _("Failed")), *_options(options.errors, query.filter.error, but=ANY_ERROR)],
        clock=user.time_zone,
    )


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
        reason=known_label(call.error) if call.error is not None else "",
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
