"""The session token: who is asking, signed, in a header; no cookie, nothing in a URL."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

from flask import g, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import SecretStr
from sqlalchemy import select

from dashboard.core.database import Database
from dashboard.models import Person, Portal, PortalState
from dashboard.web.i18n import translations

SECONDS = 30 * 60
# However long a page stays open: Bitrix24 is asked again who this is, and whether they administer the portal.
MAX_SECONDS = 12 * 60 * 60
# A token may come from another machine whose clock is ahead of ours by that much.
MAX_CLOCK_SKEW_SECONDS = 60
HEADER = "X-Session-Token"
MAX_TOKEN_LENGTH = 512

P = ParamSpec("P")


@dataclass(frozen=True)
class CurrentUser:
    """The person a valid session token speaks for, and their portal."""

    portal: Portal
    person: Person
    opened_at: int  # Unix seconds; when Bitrix24 last said who this is


class SessionRefused(Exception):
    """No valid session token; ``code`` is the contract's.

    A view raises it where the installation ended after the token was checked: what it was to store would
    be the next installation's.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Sessions:
    """Issues and checks session tokens. Each names portal, person, generation and the moment of the opening.

    It lives 30 minutes; each answer carries a fresher one, up to half a day after the opening.
    """

    def __init__(self, database: Database, keys: Sequence[SecretStr]) -> None:
        # The library signs with the last key; ours is the first.
        newest_last = [key.get_secret_value() for key in reversed(keys)]
        self._signer = URLSafeTimedSerializer(
            newest_last, salt="session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._database = database

    def issue(self, portal: Portal, person: Person, *, began: int | None = None) -> str:
        """Return a token; one without ``began`` begins a session, and only a proven opening may do that."""
        opened = int(time.time()) if began is None else began
        return self._signer.dumps([portal.id, person.id, person.user_id, portal.generation, opened])

    def required(
        self, view: Callable[Concatenate[CurrentUser, P], ResponseReturnValue]
    ) -> Callable[P, ResponseReturnValue]:
        """Give the view its reader and the answer a fresh token, or answer 401, as a view may ask for too."""

        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            try:
                reader = self._current_user(request.headers.get("Authorization", ""))
                g.portal, g.person = reader.portal, reader.person
                translations.use(reader.person.language)
                response = make_response(view(reader, *args, **kwargs))
            except SessionRefused as refusal:
                return jsonify(error=refusal.code), 401
            response.headers[HEADER] = self.issue(reader.portal, reader.person, began=reader.opened_at)
            return response

        return checked

    def _current_user(self, authorization: str) -> CurrentUser:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise SessionRefused("session_missing")
        portal_id, person_id, user_id, generation, began = self._claims(token)
        found = (
            select(Portal, Person)
            .join(Person, Person.portal_id == Portal.id)
            .where(Portal.id == portal_id, Portal.generation == generation)
            # Both numbers: after a power cut ours may be given anew, to somebody who opened since.
            .where(Person.id == person_id, Person.user_id == user_id)
            .where(Portal.state != PortalState.UNINSTALLED)
        )
        with self._database.read_session() as session:
            row = session.execute(found).one_or_none()
        if row is None:
            raise SessionRefused("session_invalid")
        return CurrentUser(*row, opened_at=began)

    def _claims(self, token: str) -> tuple[int, int, int, int, int]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise SessionRefused("session_invalid")
        try:
            claims, signed_at = self._signer.loads(token, return_timestamp=True)
            portal_id, person_id, user_id, generation, began = claims
        except (BadData, ValueError, TypeError):
            raise SessionRefused("session_invalid") from None
        age = time.time() - signed_at.timestamp()
        # The library's own `max_age` refuses a token that was signed a second ahead of this clock.
        if not -MAX_CLOCK_SKEW_SECONDS <= age <= SECONDS or time.time() - began > MAX_SECONDS:
            raise SessionRefused("session_expired")
        return portal_id, person_id, user_id, generation, began
