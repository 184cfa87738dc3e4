"""Let administrators export or delete everything stored about their portal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.core.json_values import compact_json
from dashboard.portals import personal_data
from dashboard.portals.throttle import Limit
from dashboard.web.auth.permissions import administrator, confirm_rights_first
from dashboard.web.auth.sessions import CurrentUser, queued_per_portal, signed_in
from dashboard.web.errors.responses import Notice, response_for_code
from dashboard.web.http.context import services
from dashboard.web.http.streaming import stream
from dashboard.web.presenters.page_context import page_context

MAX_INPUT_LENGTH = 255
# Per portal. Each deletion starts a VACUUM; nobody needs this many.
DELETION_LIMIT = Limit(depth=3, seconds=60)

log = structlog.get_logger()
blueprint = Blueprint("admin_data", __name__)


@blueprint.get("/admin/export.json")
@signed_in
@confirm_rights_first
@administrator
def export_data(user: CurrentUser) -> ResponseReturnValue:
    """Send everything stored about the portal and its people as one JSON file."""
    database, portal = services().database, user.portal
    log.info("data_exported", portal=portal.id, person=user.person.id)
    head = {"exported_at": services().now().isoformat(), "portal": personal_data.export_portal(portal)}
    return stream(
        lambda: _document(head, personal_data.export_lists(database, portal)),
        mimetype="application/json",
        filename="calendar-settings.json",
    )


@blueprint.get("/admin/forget")
@signed_in
@administrator
def ask_before_deletion(user: CurrentUser) -> ResponseReturnValue:
    """Show what would be deleted, and ask for the portal's address."""
    return _deletion_page(user)


@blueprint.post("/admin/forget")
@signed_in
@confirm_rights_first
@administrator
def delete_data(user: CurrentUser) -> ResponseReturnValue:
    """Delete the portal's data if the administrator typed the portal's address.

    :raise OwnLimit: the portal's administrators have deleted it too often.
    """
    domain = request.form.get("domain", "")[:MAX_INPUT_LENGTH].strip()
    if domain.casefold() != urlsplit(user.portal.origin).netloc.casefold():
        return _deletion_page(user, notice=response_for_code("wrong_address").notice), 400
    services().throttle.take(f"deletions {user.portal.member_id}", DELETION_LIMIT, code="too_many_deletions")
    outcome = personal_data.delete_all(services().database, user.portal)
    layout = page_context(user.portal, user.person, current="/admin")
    return render_template("admin/forgotten.html", **layout, outcome=outcome)


@queued_per_portal
def _deletion_page(user: CurrentUser, *, notice: Notice | None = None) -> str:
    with services().database.read_session() as session:
        stored = personal_data.count_stored(session, user.portal)
    layout = page_context(user.portal, user.person, current="/admin")
    return render_template("admin/forget.html", **layout, stored=stored, notice=notice)


def _document(head: dict[str, Any], lists: Mapping[str, Iterable[dict[str, Any]]]) -> Iterator[str]:
    """Yield one JSON object row by row; a transfer that breaks off leaves invalid JSON."""
    yield compact_json(head)[:-1]
    for name, rows in lists.items():
        yield f",\n{json.dumps(name)}: ["
        for number, row in enumerate(rows):
            yield f"{',' if number else ''}\n{compact_json(row)}"
        yield "\n]"
    yield "}\n"
