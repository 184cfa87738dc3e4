"""Issue and check session tokens: signed, sent in a header, never in a cookie or a URL."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, tzinfo
from functools import wraps
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

from flask import g, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import select

from dashboard.calendar.time_zones import parse_zone_name, zone_info
from dashboard.models import Person, Portal, PortalState
from dashboard.portals.deletion import InstallationEnded
from dashboard.web.http.context import services
from dashboard.web.i18n import translations

MAX_TOKEN_SECONDS = 30 * 60
# After this the user must open the app again, so that Bitrix24 identifies them again.
MAX_SESSION_SECONDS = 12 * 60 * 60
# A token may come from another machine whose clock is ahead of ours by this much.
MAX_CLOCK_SKEW_SECONDS = 60
HEADER = "X-Session-Token"
MAX_TOKEN_LENGTH = 512

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class CurrentUser:
    """The person whose session token came with the request, and their portal."""

    portal: Portal
    person: Person
    opened_at: int  # Unix seconds; when Bitrix24 last said who this is

    @property
    def time_zone(self) -> tzinfo:
        """Return the time zone that the user is believed to be in, UTC if it is unknown."""
        zone = parse_zone_name(self.person.zone)
        return zone_info(zone.name) if zone else UTC

    @property
    def today(self) -> date:
        """Return today's date in that time zone."""
        return services().now().astimezone(self.time_zone).date()


UserView: TypeAlias = Callable[Concatenate[CurrentUser, P], ResponseReturnValue]


class SessionRefused(Exception):
    """The request has no valid session; ``code`` is sent to the page's script.

    Views raise it too, when the portal was uninstalled after the token was checked.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def start_session(portal: Portal, person: Person) -> CurrentUser:
    """Return the user whom Bitrix24 has just identified, with a session that starts now."""
    return CurrentUser(portal, person, opened_at=int(time.time()))


def issue_token(user: CurrentUser) -> str:
    """Return a token for the user's session, valid for 30 minutes."""
    # Not the ids of rows: after a backup is restored, the database gives them to other portals and people.
    portal = user.portal
    return _signer().dumps([portal.member_id, portal.generation, user.person.user_id, user.opened_at])


def signed_in(view: UserView[P]) -> Callable[P, ResponseReturnValue]:
    """Pass the current user to the view and send a fresh token with the response; without a session answer 401.

    :raise SlotRefused: too many requests of this person are in progress.
    """

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        try:
            user = _current_user(request.headers.get("Authorization", ""))
            g.portal, g.person = user.portal, user.person
            translations.use(user.person.language)
            with services().person_limit.hold((user.portal.member_id, user.person.user_id)):
                response = make_response(view(user, *args, **kwargs))
        except SessionRefused as refusal:
            return jsonify(error=refusal.code), 401
        except InstallationEnded:
            return jsonify(error="session_invalid"), 401
        response.headers[HEADER] = issue_token(user)
        return response

    return checked


def queued_per_portal(page: Callable[Concatenate[CurrentUser, P], R]) -> Callable[Concatenate[CurrentUser, P], R]:
    """Limit the threads that build pages about one portal's team; further requests wait a moment.

    :raise SlotRefused: too many requests wait, or one has waited too long.
    """

    @wraps(page)
    def wrapper(user: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with services().portal_queue.hold(user.portal.member_id):
            return page(user, *args, **kwargs)

    return wrapper


def _signer() -> URLSafeTimedSerializer:
    # The library signs with the last key; ours is the first.
    keys = [key.get_secret_value() for key in reversed(services().config.secret_key)]
    return URLSafeTimedSerializer(keys, salt="session", signer_kwargs={"digest_method": hashlib.sha256})


def _current_user(authorization: str) -> CurrentUser:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise SessionRefused("session_missing")
    member_id, generation, user_id, opened_at = _claims(token)
    query = (
        select(Portal, Person)
        .join(Person, Person.portal_id == Portal.id)
        .where(Portal.member_id == member_id, Portal.generation == generation)
        .where(Portal.state != PortalState.UNINSTALLED, Person.user_id == user_id)
    )
    with services().database.read_session() as session:
        row = session.execute(query).one_or_none()
    if row is None:
        raise SessionRefused("session_invalid")
    return CurrentUser(*row, opened_at=opened_at)


def _claims(token: str) -> tuple[str, int, int, int]:
    if len(token) > MAX_TOKEN_LENGTH:
        raise SessionRefused("session_invalid")
    try:
        claims, signed_at = _signer().loads(token, return_timestamp=True)
        member_id, generation, user_id, opened_at = claims
    except (BadData, ValueError, TypeError):
        raise SessionRefused("session_invalid") from None
    age = time.time() - signed_at.timestamp()
    # The library's own `max_age` refuses any token that was signed ahead of this clock.
    if not -MAX_CLOCK_SKEW_SECONDS <= age <= MAX_TOKEN_SECONDS or time.time() - opened_at > MAX_SESSION_SECONDS:
        raise SessionRefused("session_expired")
    return member_id, generation, user_id, opened_at
