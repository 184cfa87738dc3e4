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
from dashboard.portals.call_log_pages import ANY_ERROR, NO_CODE, Sought
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import Reader, Sessions
from dashboard.web.errors.error_labels import known
from dashboard.web.i18n.translations import _, current
from dashboard.web.presenters.page_context import around
from dashboard.web.views.team import clock_of

ADDRESS = "/admin/calls"
LONGEST = 3000  # characters of one answer on the page; a batch of fifty has many times that
LONGEST_WORD = 64


@dataclass(frozen=True)
class Shown:
    """A call as a row."""

    at: datetime
    method: str
    status: int | None
    error: str | None
    why: str
    milliseconds: str
    sent: str
    received: str
    parameters: str
    answer: str


@dataclass(frozen=True)
class Asked:
    """What the page's address asks for."""

    sought: Sought
    number: int

    def address(self, *, number: int = 1, **changes: str) -> str:
        """Return the address with another page, or other filters from the first page on."""
        told = {"method": self.sought.method, "error": self.sought.error, **changes}
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
    def page(reader: Reader) -> ResponseReturnValue:
        """Show the calls, the newest first."""
        asked = read(request.args)
        moment = now()
        with database.reading() as session:
            found = call_log_pages.page(session, reader.portal, asked.sought, number=asked.number, now=moment)
            kinds = call_log_pages.kinds(session, reader.portal, now=moment)
        return render_template(
            "admin/calls.html",
            **around(reader.portal, reader.person, current="/admin"),
            asked=asked,
            calls=[shown(call) for call in found.calls],
            more=found.more,
            method_options=_options(kinds.methods, asked.sought.method),
            error_options=[
                (ANY_ERROR, _("Failed")),
                *_options(kinds.errors, asked.sought.error, but=ANY_ERROR),
            ],
            clock=clock_of(reader.person),
        )

    return routes


def read(query: Mapping[str, str]) -> Asked:
    """Return what a query asks for; a page that is no number is the first."""
    number = query.get("page", "")
    fits = number.isascii() and number.isdecimal() and len(number) < 7
    return Asked(
        Sought(method=_word(query.get("method", "")), error=_word(query.get("error", ""))),
        number=max(1, int(number)) if fits else 1,
    )


def shown(call: ApiCall) -> Shown:
    """Return a call in words."""
    locale = current().locale
    return Shown(
        at=call.at,
        method=call.method,
        status=call.status,
        error=None if call.error is None else call.error or NO_CODE,
        why=known(call.error) if call.error is not None else "",
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
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _word(value: str) -> str:
    # No database takes a zero byte, and no method has one.
    return value.replace("\0", "").strip()[:LONGEST_WORD]


def _options(values: tuple[str, ...], chosen: str, *, but: str = "") -> list[tuple[str, str]]:
    """Return what the list offers, each value with its words; what was chosen stays among it."""
    return [(value, value) for value in sorted({*values, *({chosen} - {"", but})})]
