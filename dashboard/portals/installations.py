"""Verify portals, and store their address and installation state."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

import structlog
from pydantic import SecretStr
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import (
    ApplicationGone,
    Bitrix24Error,
    CredentialsRefused,
    GrantRejected,
    NotAnswered,
    PersonRefused,
    PortalMoved,
    PortalRefused,
    TokenRejected,
    Unreachable,
    Unreadable,
)
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import CallRecorder
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import AppInfo
from dashboard.core.database import Database, insert_or_ignore
from dashboard.core.encryption import DecryptionError, TokenEncryption, portal_context
from dashboard.core.stored_times import is_due, is_recent
from dashboard.models import Portal, PortalState
from dashboard.portals import deletion
from dashboard.portals.personal_data import ADMIN_CHOICE_COLUMNS, ALWAYS_RESET_COLUMNS

log = structlog.get_logger()
T = TypeVar("T")

# `proven_at`, when the portal was last verified, is updated only this often, so that not every opening writes to the
# portal's row.
VERIFICATION_UPDATE_INTERVAL = timedelta(minutes=1)
# Events may be delayed by this long, so one that was sent before an update may carry the previous token.
PREVIOUS_TOKEN_LIFETIME = timedelta(hours=1)
MAX_CODE_LENGTH = 64
# Each opening uses both, so they are built once.
_FIND = select(Portal).where(Portal.member_id == bindparam("member"))
_LOCK = _FIND.with_for_update()


class VerificationFailed(Exception):
    """The posted data is not what the token proves; ``code`` is one of our own error codes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# The token is not valid here, or its user has no access. A closed, unpaid or busy portal is no denial.
DENIALS = (VerificationFailed, TokenRejected, CredentialsRefused, GrantRejected, PersonRefused, ApplicationGone)


class PortalAddress(NamedTuple):
    """Where a portal is, and the authorization server that confirmed it; both are origins."""

    origin: str
    authorization_server: str


@dataclass(frozen=True)
class VerifiedPortal:
    """What a verified token says about its portal."""

    member_id: str
    address: PortalAddress | None  # None: the stored one
    app: AppInfo
    is_installation: bool = False


@dataclass(frozen=True, kw_only=True)
class Installations:
    """The portals of all customers."""

    database: Database
    encryption: TokenEncryption
    rest: RestHttp
    servers: AuthorizationServers
    now: Callable[[], datetime]

    def find(self, member_id: str, session: Session | None = None) -> Portal | None:
        """Return the portal in any state, a tombstone too."""
        if session is None:
            with self.database.read_session() as own_session:
                return self.find(member_id, own_session)
        return session.scalar(_FIND, {"member": member_id})

    def client(self, origin: str, *, record_call: CallRecorder) -> Client:
        """Return a REST client for a portal at a verified address; ``record_call`` receives every call."""
        return Client(self.rest, origin, record_call)

    def verify_token(
        self, member_id: str, access_token: SecretStr, *, server: str | None, record_call: CallRecorder
    ) -> PortalAddress:
        """Ask an authorization server which portal a token belongs to, and return where that portal is.

        ``server`` is used if it is an allowed one.

        :raise VerificationFailed: the token belongs to another application or another portal.
        :raise Bitrix24Error: the server refused the token or did not answer.
        """
        server = self.servers.choose(server)
        info = self.servers.app_info(server, access_token, record_call=record_call)
        if info.client_id != self.servers.client_id:
            raise VerificationFailed("foreign_application")
        if info.member_id != member_id:
            raise VerificationFailed("foreign_portal")
        return PortalAddress(info.origin, server)

    def is_unchanged(self, portal: Portal, verified: VerifiedPortal, *, application_token: SecretStr | None) -> bool:
        """Tell whether ``save_verified`` would change nothing in a portal that was just read."""
        return (
            portal.state == PortalState.ACTIVE
            and not verified.is_installation
            and verified.address in (None, (portal.origin, portal.authorization_server))
            and is_recent(portal.proven_at, self.now(), age=VERIFICATION_UPDATE_INTERVAL)
            and (portal.app_code, portal.app_status) == _app_columns(verified.app)
            and (application_token is None or self.matches_application_token(portal, application_token))
        )

    def save_verified(
        self,
        session: Session,
        verified: VerifiedPortal,
        *,
        stored_portal: Portal | None,
        application_token: SecretStr | None,
    ) -> Portal:
        """Store a verified portal and return it, locked until the transaction ends.

        ``stored_portal`` is the portal as it was before the verification. Two simultaneous first openings
        create one portal. A tombstone becomes active as a new generation.

        :raise VerificationFailed: the portal was uninstalled during the verification; nothing is stored, because an
            installation that has begun since has other tokens.
        """
        portal = self._lock_or_insert(session, verified)
        now = self.now()
        is_reinstalled = portal.state == PortalState.UNINSTALLED
        if is_reinstalled:
            _reactivate(portal, stored_portal, now=now)
        elif _has_ended(stored_portal, portal):
            raise VerificationFailed("uninstalled_meanwhile")
        if verified.address is not None:
            portal.origin, portal.authorization_server = verified.address
        is_new = is_reinstalled or verified.is_installation
        if is_new or not is_recent(portal.proven_at, now, age=VERIFICATION_UPDATE_INTERVAL):
            portal.proven_at = now
        portal.app_code, portal.app_status = _app_columns(verified.app)
        portal.state = PortalState.ACTIVE
        if application_token is not None and not self.matches_application_token(portal, application_token):
            self._set_token(portal, application_token, keep_previous=not verified.is_installation)
        return portal

    def _lock_or_insert(self, session: Session, verified: VerifiedPortal) -> Portal:
        key = {"member": verified.member_id}
        portal = session.scalar(_LOCK, key)
        if portal is None and verified.address is None:
            # `deletion.py` replaced the portal's row while this transaction waited for it.
            portal = session.scalar(_LOCK, key)
        if portal is not None:
            return portal
        if verified.address is None:
            raise VerificationFailed("unknown_portal")
        new = {
            "member_id": verified.member_id,
            **verified.address._asdict(),
            "app_status": "",
            "state": PortalState.ACTIVE,
            "generation": 1,
            "installed_at": self.now(),
            "proven_at": self.now(),
        }
        insert_or_ignore(session, Portal, [new])
        return session.scalars(_LOCK, key).one()

    def _set_token(self, portal: Portal, token: SecretStr, *, keep_previous: bool) -> None:
        """Store a new ``application_token``.

        After an update, the previous one stays valid for a while. After a new installation it does not, because it
        belonged to the previous installation.
        """
        previous = portal.application_token if keep_previous else None
        portal.previous_token = previous
        portal.previous_until = self.now() + PREVIOUS_TOKEN_LIFETIME if previous else None
        portal.application_token = self.encryption.encrypt(token, context=portal_context(portal.member_id))
        portal.bindings_at = None

    def matches_application_token(self, portal: Portal, posted: SecretStr) -> bool:
        """Tell, in constant time, whether this is the portal's ``application_token``, or was until just now."""
        encrypted = [portal.application_token]
        until = portal.previous_until
        if until is not None and not is_due(until, self.now(), max_wait=PREVIOUS_TOKEN_LIFETIME):
            encrypted.append(portal.previous_token)
        # Compare all of them even after a match, so that the time reveals nothing.
        matches = [self._matches_encrypted(portal, value, posted) for value in encrypted if value is not None]
        return any(matches)

    def _matches_encrypted(self, portal: Portal, encrypted: str, posted: SecretStr) -> bool:
        try:
            stored = self.encryption.decrypt(encrypted, context=portal_context(portal.member_id))
        except DecryptionError:
            log.error("application_token_undecryptable", portal=portal.id)
            return False
        return hmac.compare_digest(stored.get_secret_value().encode(), posted.get_secret_value().encode())

    def call(
        self,
        portal: Portal,
        access_token: SecretStr,
        operation: Callable[[Client, str], T],
        *,
        record_call: CallRecorder,
    ) -> T:
        """Return ``operation(client, token)`` at the portal's address; if it has moved, at its new address.

        :raise VerificationFailed: the portal redirects, and the token is not this portal's.
        :raise Bitrix24Error: Bitrix24 refused or did not answer.
        """
        token = access_token.get_secret_value()
        try:
            return operation(self.client(portal.origin, record_call=record_call), token)
        except PortalMoved:
            address = self._ask_address(portal, access_token, record_call=record_call)
            if address.origin == portal.origin:
                log.warning("redirect_not_followed", portal=portal.id)
            self.set_address(portal, address.origin)
        except (Unreachable, Unreadable) as failure:
            self._find_new_address(portal, access_token, failure, record_call=record_call)
        return operation(self.client(portal.origin, record_call=record_call), token)

    def _find_new_address(
        self, portal: Portal, access_token: SecretStr, failure: NotAnswered, *, record_call: CallRecorder
    ) -> None:
        """Store the portal's new address if the authorization server names one, else raise ``failure``.

        :raise TokenRejected: the token has expired; the next token response names the address.
        :raise PortalRefused: the authorization server refuses the portal as a whole.
        """
        if not failure.suggests_move:
            raise failure
        try:
            address = self._ask_address(portal, access_token, record_call=record_call)
        except PortalRefused:
            raise
        except (Bitrix24Error, VerificationFailed) as refusal:
            is_expired = isinstance(refusal, TokenRejected) and refusal.code.lower() == "expired_token"
            raise (refusal if is_expired else failure) from None
        if address.origin == portal.origin:
            raise failure
        self.set_address(portal, address.origin)

    def _ask_address(self, portal: Portal, access_token: SecretStr, *, record_call: CallRecorder) -> PortalAddress:
        return self.verify_token(
            portal.member_id, access_token, server=portal.authorization_server, record_call=record_call
        )

    def set_address(self, portal: Portal, origin: str) -> None:
        """Store a verified address if it is a new one."""
        if origin != portal.origin:
            log.info("portal_moved", portal=portal.id)
            self._update(portal, origin=origin)
            portal.origin = origin

    def set_state(self, portal: Portal, state: PortalState) -> None:
        """Store that the portal is suspended, or active again. A tombstone stays one."""
        if portal.state != state:
            log.info("portal_state_changed", portal=portal.id, state=str(state))
            self._update(portal, state=state)
            portal.state = state

    def save_bindings(self, portal: Portal, *, refused_bindings: Mapping[str, str]) -> None:
        """Store that the bindings were checked now, and the error code of each binding that the portal refused."""
        codes = {name: code[:MAX_CODE_LENGTH] for name, code in refused_bindings.items()}
        self._update(portal, bindings_at=self.now(), unbound=codes)

    def require_bindings_check(self, portal: Portal) -> None:
        """Have the next opening by an administrator restore the bindings that an update removed."""
        self._update(portal, bindings_at=None)

    def _update(self, portal: Portal, **values: object) -> None:
        is_current = (Portal.id == portal.id, Portal.generation == portal.generation)
        statement = update(Portal).where(*is_current, Portal.state != PortalState.UNINSTALLED).values(**values)
        self.database.write(lambda session: session.execute(statement))

    def uninstall(self, portal: Portal, *, clean: bool = True, should_stop: Callable[[], bool] | None = None) -> bool:
        """Delete everything about the portal's people; a tombstone remains.

        ``clean`` also resets what administrators decided. A second event finds nothing to delete. An event
        that comes after a reinstallation finds another generation and deletes nothing.

        :param should_stop: leaves the rest to the worker when it returns True; by default after a moment.
        :return: whether everything is deleted.
        """
        columns_to_clear = ("app_code", "previous_token", "previous_until", "bindings_at", "scopes", "unbound")
        tombstone = {
            **dict.fromkeys(columns_to_clear),
            **ALWAYS_RESET_COLUMNS,
            **(ADMIN_CHOICE_COLUMNS if clean else {}),
            "state": PortalState.UNINSTALLED,
            "uninstalled_at": self.now(),
        }
        former_id = self.database.write(lambda session: deletion.replace_portal_row(session, portal, **tombstone))
        if former_id is None:
            successor = self._find_successor(portal)
            return successor is None or self.uninstall(successor, clean=clean, should_stop=should_stop)
        log.info("portal_uninstalled", portal=portal.id)
        return deletion.delete_now(self.database, former_id, should_stop=should_stop)

    def _find_successor(self, portal: Portal) -> Portal | None:
        """Return the row that an administrator's deletion has given this installation meanwhile."""
        current = self.find(portal.member_id)
        if current is None or current.state == PortalState.UNINSTALLED or current.id == portal.id:
            return None
        return current if current.installed_at == portal.installed_at else None


def _app_columns(app: AppInfo) -> tuple[str | None, str]:
    return app.CODE or None, app.STATUS[:1]


def _has_ended(stored_portal: Portal | None, current: Portal) -> bool:
    """Tell whether the portal has been removed and installed again; a deletion of all data is neither."""
    if stored_portal is None or stored_portal.state == PortalState.UNINSTALLED:
        return False
    return stored_portal.installed_at != current.installed_at


def _reactivate(portal: Portal, stored_portal: Portal | None, *, now: datetime) -> None:
    """Make a tombstone the portal's next generation.

    :raise VerificationFailed: it was no tombstone yet when the verification began.
    """
    if stored_portal is None or (stored_portal.generation, stored_portal.state) != (portal.generation, portal.state):
        raise VerificationFailed("uninstalled_meanwhile")
    portal.generation += 1
    portal.installed_at, portal.uninstalled_at = now, None
    portal.previous_token = portal.previous_until = None
