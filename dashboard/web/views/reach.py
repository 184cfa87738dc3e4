"""Show one colleague's card: their time, their hours, and when both are at work; also beside chats and employees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flask import Blueprint, make_response, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from dashboard.core.json_values import Json
from dashboard.models import Person
from dashboard.people import access, snapshot_store
from dashboard.people.accounts import find_name
from dashboard.people.connection_state import colleague_conditions
from dashboard.portals import bindings
from dashboard.team import listing
from dashboard.web.auth import permissions
from dashboard.web.auth.sessions import CurrentUser, signed_in
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import ErrorResponse, response_for_code
from dashboard.web.http.context import services
from dashboard.web.presenters import reach_card
from dashboard.web.presenters.page_context import FullPage, page_context

# The key of the user id in PLACEMENT_OPTIONS. A group chat has a text such as "chat12" there.
USER_KEYS = {bindings.EMPLOYEE_CARD: "USER_ID", bindings.CHAT_SIDEBAR: "dialogId"}
MAX_ID_DIGITS = 15

blueprint = Blueprint("reach", __name__)


@blueprint.get("/reach/<user_id>")
@signed_in
def show_card(user: CurrentUser, user_id: str) -> ResponseReturnValue:
    """Show the card of a colleague, or say neutrally that there is none for this user."""
    number = parse_user_id(user_id)
    if number is None:
        raise NotFound
    return card_page(user, number)


def parse_user_id(value: Json) -> int | None:
    """Return the id that a number or its digits stand for, None for any other value."""
    if isinstance(value, int):
        value = str(value)  # that of a bool has no digits
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > MAX_ID_DIGITS:
        return None
    return int(value) or None


def named_colleague(placement: str, options: Mapping[str, Json]) -> int | None:
    """Return the id of the person whose card or chat Bitrix24 has opened, None if it names none."""
    return parse_user_id(options.get(USER_KEYS[placement]))


def card_for_opening(user: CurrentUser, user_id: int | None, *, full_page: FullPage) -> ResponseReturnValue:
    """Return the page for an opening. The user is verified and connected, even if there is no card for them."""
    full_page = replace(full_page, frame_key=f"{full_page.frame_key} {user_id}", is_card=True)
    if user_id is None:
        return _note(user, response_for_code("nobody_named"), full_page)
    response = make_response(card_page(user, user_id, full_page=full_page))
    response.status_code = 200
    return response


def card_page(user: CurrentUser, user_id: int, *, full_page: FullPage | None = None) -> ResponseReturnValue:
    """Return the card, or a note with the status 403 or 404."""
    now, portal = services().now(), user.portal
    is_own = user_id == user.person.user_id
    if not is_own and not permissions.has_confirmed_team_access(user):
        return _note(user, permissions.team_refusal(user), full_page)
    with services().database.read_session() as session:
        reader = listing.find_row(session, portal, [Person.id == user.person.id], now)
        restriction = access.visibility_conditions(session, portal, user.person)
        conditions = [*colleague_conditions(portal), *restriction, Person.user_id == user_id]
        row = reader if is_own else listing.find_row(session, portal, conditions, now)
        days_off = snapshot_store.find_days_off(session, user.person)
        if row is None or reader is None:
            # Who sees a part of the team must not learn who else there is.
            exists = bool(restriction) or find_name(session, portal, user_id) is not None
            refusal = response_for_code("not_in_departments" if restriction else "not_on_team")
            return _note(user, refusal if exists else replace(refusal, status=404), full_page)
    return render_template(
        "reach.html",
        **page_context(portal, user.person, current="/reach", full_page=full_page),
        card=reach_card.build(row, reader, now=now, reader_zone=user.time_zone, days_off=days_off),
        row=row,
        reader_id=user.person.user_id,
        user_zone=user.time_zone,
        now=now,
    )


def _note(user: CurrentUser, refusal: ErrorResponse, full_page: FullPage | None) -> ResponseReturnValue:
    """Return a refusal: as a page of its own for an opening, which has succeeded, else with its status."""
    if full_page is None:
        return render_error(refusal)
    context = page_context(user.portal, user.person, current="/reach", full_page=full_page)
    return render_template("error.html", **context, notice=refusal.notice)
