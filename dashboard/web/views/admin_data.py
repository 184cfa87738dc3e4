"""What administrators may do with everything stored about their portal: take it along, or have it deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.core.database import Database
from dashboard.core.json_values import compact
from dashboard.models import Portal
from dashboard.portals import personal_data
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.sessions import CurrentUser, Sessions
from dashboard.web.errors.notices import Notice
from dashboard.web.i18n.translations import _
from dashboard.web.presenters.page_context import page_context

MAX_INPUT_LENGTH = 255

log = structlog.get_logger()


def blueprint(
    *, database: Database, sessions: Sessions, permissions: Permissions, now: Callable[[], datetime]
) -> Blueprint:
    """Return the routes of the export and of the deletion."""
    routes = Blueprint("holdings", __name__)

    @routes.get("/admin/export.json")
    @sessions.required
    @permissions.confirmed
    @permissions.administrators
    def export(reader: CurrentUser) -> ResponseReturnValue:
        """Give everything stored about the portal's people as one file, as it is read."""
        portal = reader.portal
        log.info("data_exported", portal=portal.id, person=reader.person.id)
        parts = {
            "runs": personal_data.export_runs(database, portal),
            "people": personal_data.export_people(database, portal),
        }
        head = {"exported_at": now().isoformat(), "portal": personal_data.export_portal(portal)}
        response = Response(_document(head, parts), mimetype="application/json")
        response.headers["Content-Disposition"] = 'attachment; filename="calendar-settings.json"'
        return response

    @routes.get("/admin/forget")
    @sessions.required
    @permissions.administrators
    def ask(reader: CurrentUser) -> ResponseReturnValue:
        """Say what would be deleted, and ask for the portal's address."""
        return _question(reader)

    @routes.post("/admin/forget")
    @sessions.required
    @permissions.confirmed
    @permissions.administrators
    def forget(reader: CurrentUser) -> ResponseReturnValue:
        """Delete it, if the administrator typed the portal's address."""
        typed = request.form.get("domain", "")[:MAX_INPUT_LENGTH].strip().casefold()
        if typed != _portal_domain(reader.portal).casefold():
            return _question(reader, notice=_not_the_address()), 400
        deleted = personal_data.delete_all(database, reader.portal)
        layout = page_context(reader.portal, reader.person, current="/admin")
        return render_template("admin/forgotten.html", **layout, deleted=deleted)

    def _question(reader: CurrentUser, *, notice: Notice | None = None) -> str:
        with database.read_session() as session:
            held = personal_data.count_stored(session, reader.portal)
        layout = page_context(reader.portal, reader.person, current="/admin")
        return render_template("admin/forget.html", **layout, held=held, notice=notice)

    return routes


def _portal_domain(portal: Portal) -> str:
    return urlsplit(portal.origin).netloc


def _document(head: dict[str, Any], parts: Mapping[str, Iterable[dict[str, Any]]]) -> Iterator[str]:
    """Yield one JSON object, row by row; one that breaks off cannot be mistaken for a whole one."""
    yield compact(head)[:-1]
    for name, rows in parts.items():
        yield f",\n{json.dumps(name)}: ["
        for number, row in enumerate(rows):
            yield f"{',' if number else ''}\n{compact(row)}"
        yield "\n]"
    yield "}\n"


def _not_the_address() -> Notice:
    return Notice(
        "invalid_request",
        _("That is not this portal's address"),
        _("Nothing was deleted."),
        _("What to do:"),
        _("Type the address exactly as shown above the field."),
    )
