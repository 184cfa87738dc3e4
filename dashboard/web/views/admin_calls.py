"""Show administrators their portal's REST calls of the last three days, with personal data masked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from babel.numbers import format_decimal
from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.calendar.parser import EMPTY_CODE
from dashboard.core.json_values import Json, escape_surrogates
from dashboard.models import ApiCall
from dashboard.portals import call_log_pages
from dashboard.portals.call_log_pages import ANY_ERROR, CallFilter
from dashboard.web.auth.permissions import administrator
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.errors.responses import known_label
from dashboard.web.http.context import services
from dashboard.web.http.query_values import page_number, text_value
from dashboard.web.i18n.translations import _, current
from dashboard.web.presenters.page_context import page_context

PATH = "/admin/calls"
MAX_JSON_LENGTH = 3000  # characters; the response to a batch of fifty is many times longer
MAX_WORD_LENGTH = 64

blueprint = Blueprint("admin_calls", __name__)


@dataclass(frozen=True)
class CallRow:
    """A call as the table shows it."""

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
    """The filters and the page of the table, as its URL holds them."""

    filter: CallFilter
    page: int

    def url(self, *, page: int) -> str:
        """Return the URL of another page with the same filters."""
        fields = {"method": self.filter.method, "error": self.filter.error, "page": page if page > 1 else ""}
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"{PATH}?{query}" if query else PATH


@blueprint.get(PATH)
@signed_in
@administrator
@queued_per_portal
def show_calls(user: CurrentUser) -> ResponseReturnValue:
    """Show the calls, newest first."""
    method = text_value(request.args, "method", max_length=MAX_WORD_LENGTH)
    error = text_value(request.args, "error", max_length=MAX_WORD_LENGTH)
    query, now = CallQuery(CallFilter(method, error), page_number(request.args)), services().now()
    with services().database.read_session() as session:
        call_page = call_log_pages.call_page(session, user.portal, query.filter, page=query.page, now=now)
        options = call_log_pages.filter_options(session, user.portal, now=now)
    return render_template(
        "admin/calls.html",
        **page_context(user.portal, user.person, current="/admin"),
        query=query,
        calls=[_call_row(call) for call in call_page.calls],
        more=call_page.more,
        method_options=_options({*options.methods, method}),
        error_options=[(ANY_ERROR, _("Failed")), *_options({*options.errors, error} - {ANY_ERROR})],
        user_zone=user.time_zone,
    )


def _call_row(call: ApiCall) -> CallRow:
    return CallRow(
        at=call.at,
        method=call.method,
        status=call.status,
        error=None if call.error is None else call.error or EMPTY_CODE,
        reason=known_label(call.error) if call.error is not None else "",
        milliseconds=_with_unit(_("%(number)s ms"), call.milliseconds),
        sent=_size(call.sent),
        received=_size(call.received),
        parameters=_json(call.parameters),
        answer=_json(call.answer),
    )


def _size(count: int) -> str:
    if count < 1000:
        return _with_unit(_("%(number)s B"), count)
    return _with_unit(_("%(number)s kB"), round(count / 1000, 1))


def _with_unit(text: str, value: float) -> str:
    return text % {"number": format_decimal(value, locale=current().locale)}


def _json(value: Json) -> str:
    """Return the masked value as indented JSON, cut if it is very long; the rest is not encoded."""
    text = ""
    for part in json.JSONEncoder(indent=1, ensure_ascii=False).iterencode(value):
        text += part
        if len(text) > MAX_JSON_LENGTH:
            break
    text = escape_surrogates(text[: MAX_JSON_LENGTH + 1])
    return text if len(text) <= MAX_JSON_LENGTH else text[:MAX_JSON_LENGTH] + "…"


def _options(values: set[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in sorted(values - {""})]
