"""An installation's life: proven, kept, moved, suspended, uninstalled."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from pydantic import SecretStr
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import (
    Bitrix24Error,
    NotAnswered,
    PortalMoved,
    PortalRefused,
    TokenRejected,
    Unreachable,
    Unreadable,
)
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import RecordCall
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import AppInfo, OAuthAppInfo
from dashboard.core.database import Database, allow_time, insert_or_ignore
from dashboard.core.encryption import DecryptionError, TokenEncryption, portal_context
from dashboard.core.stored_times import is_ahead, is_due
from dashboard.models import ApiCall, Person, Portal, PortalState, RateLimit, Run
from dashboard.portals import vacuum
from dashboard.portals.personal_data import DECIDED_COLUMNS, LEARNED_COLUMNS

log = structlog.get_logger()
T = TypeVar("T")

# So long an opening leaves the portal's row alone: everybody's openings would write to that one row.
VERIFICATION_UPDATE_INTERVAL = timedelta(minutes=1)
# Events are delayed, not held back: what carries an older token than the last is on its way this long.
PREVIOUS_TOKEN_LIFETIME = timedelta(hours=1)
MAX_CODE_LENGTH = 64
# Whoever is in the largest portal's tables is deleted in one statement, on a slow disk too.
UNINSTALL_SECONDS = 300.0
# Each opening needs both, so they are made once.
_FIND = select(Portal).where(Portal.member_id == bindparam("member"))
_LOCK = _FIND.with_for_update()


class VerificationFailed(Exception):
    """What was posted is not what the token proves; ``code`` is one of ours."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class VerifiedPortal:
    """What a proof says of a portal, to be stored."""

    member_id: str
    # The portal's origin and the authorization server that vouched for it; None: the stored ones hold.
    address: tuple[str, str] | None
    app: AppInfo
    # The installer ran: a token that is another one belonged to an installation before, and counts no more.
    is_installation: bool = False


class Installations:
    """The portals and what happens to each as a whole."""

    def __init__(
        self,
        *,
        database: Database,
        encryption: TokenEncryption,
        rest: RestHttp,
        servers: AuthorizationServers,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._encryption = encryption
        self._rest = rest
        self._servers = servers
        self._now = now

    def find(self, member_id: str) -> Portal | None:
        """Return the portal in whatever state it is, a tombstone too."""
        with self._database.read_session() as session:
            return session.scalar(_FIND, {"member": member_id})

    def verify_token(self, member_id: str, access_token: SecretStr, *, server: str, record: RecordCall) -> OAuthAppInfo:
        """Return what an allowed authorization server says of a posted token.

        :raise VerificationFailed: the token is another application's, or another portal's.
        :raise Bitrix24Error: the server refused the token or did not answer.
        """
        proof = self._servers.app_info(server, access_token, record=record)
        if proof.client_id != self._servers.client_id:
            raise VerificationFailed("foreign_application")
        if proof.member_id != member_id:
            raise VerificationFailed("foreign_portal")
        return proof

    def client(self, origin: str, *, record: RecordCall) -> Client:
        """Return the REST server of a portal at a proven address; ``record`` gets what is called there."""
        return Client(self._rest, origin, record)

    def save_verified(
        self,
        session: Session,
        verified: VerifiedPortal,
        *,
        before: Portal | None,
        application_token: SecretStr | None,
    ) -> Portal:
        """Store what was proven and return the portal, locked until the transaction ends.

        ``before`` is the portal as it was when the proof began. Two at once make one portal: the later one
        finds the earlier one's row. A tombstone comes back as a new generation.

        :raise VerificationFailed: the portal was uninstalled while the proof was under way; nothing is stored.
        """
        portal = self._lock_or_insert(session, verified)
        returns = portal.state == PortalState.UNINSTALLED
        if returns:
            if before is None or before.generation != portal.generation or before.state != portal.state:
                raise VerificationFailed("uninstalled_meanwhile")
            portal.generation += 1
            portal.installed_at, portal.uninstalled_at = self._now(), None
            portal.previous_token = portal.previous_until = None
        if verified.address is not None:
            portal.origin, portal.authorization_server = verified.address
        now, proven_at = self._now(), portal.proven_at
        if (
            returns
            or verified.is_installation
            or proven_at < now - VERIFICATION_UPDATE_INTERVAL
            or is_ahead(proven_at, now)
        ):
            portal.proven_at = now
        portal.app_code = verified.app.CODE or None
        portal.app_status = verified.app.STATUS[:1]
        portal.state = PortalState.ACTIVE
        if application_token is not None and not self.has_token(portal, application_token):
            self._keep_token(portal, application_token, installs=verified.is_installation)
        return portal

    def _keep_token(self, portal: Portal, token: SecretStr, *, installs: bool) -> None:
        """Store a proven token that is a new one; an update's predecessor counts until it has arrived."""
        before = None if installs else portal.application_token
        portal.previous_token = before
        portal.previous_until = self._now() + PREVIOUS_TOKEN_LIFETIME if before else None
        portal.application_token = self._encryption.encrypt(token, owner=portal_context(portal.member_id))
        portal.bindings_at = None

    def call(self, portal: Portal, access: SecretStr, use: Callable[[Client, str], T], *, record: RecordCall) -> T:
        """Return ``use(client, token)`` at the portal's address; after a move, at its new address.

        :raise VerificationFailed: the portal redirects, and the token is not this portal's.
        :raise Bitrix24Error: the leaf for what was answered.
        """
        token = access.get_secret_value()
        try:
            return use(self.client(portal.origin, record=record), token)
        except PortalMoved:
            proof = self.verify_token(portal.member_id, access, server=portal.authorization_server, record=record)
            if proof.origin == portal.origin:
                log.warning("redirect_refused", portal=portal.id)
            self.set_address(portal, proof.origin)
        except (Unreachable, Unreadable) as failure:
            self._find_new_address(portal, access, failure, record=record)
        return use(self.client(portal.origin, record=record), token)

    def _find_new_address(self, portal: Portal, access: SecretStr, failure: NotAnswered, *, record: RecordCall) -> None:
        """Store the portal's new address if the authorization server names one, else raise ``failure``.

        :raise TokenRejected: the token has expired; the next token response names the address.
        :raise PortalRefused: the authorization server refuses the portal as a whole.
        """
        if not failure.suggests_move:
            raise failure
        try:
            proof = self.verify_token(portal.member_id, access, server=portal.authorization_server, record=record)
        except PortalRefused:
            raise
        except (Bitrix24Error, VerificationFailed) as refusal:
            expired = isinstance(refusal, TokenRejected) and refusal.code.lower() == "expired_token"
            raise (refusal if expired else failure) from None
        if proof.origin == portal.origin:
            raise failure
        self.set_address(portal, proof.origin)

    def set_address(self, portal: Portal, origin: str) -> None:
        """Store a proven address where it is a new one."""
        if origin != portal.origin:
            log.info("portal_moved", portal=portal.id)
            self._change(portal, origin=origin)
            portal.origin = origin

    def set_state(self, portal: Portal, state: PortalState) -> None:
        """Store that the portal is suspended, or active again. A tombstone stays one."""
        if portal.state != state:
            log.info("portal_state", portal=portal.id, state=str(state))
            self._change(portal, state=state)
            portal.state = state

    def save_bindings(self, portal: Portal, *, unbound: Mapping[str, str]) -> None:
        """Store that the portal has everything bound that it lets us bind, and what it refused."""
        refused = {name: code[:MAX_CODE_LENGTH] for name, code in unbound.items()}
        self._change(portal, bindings_at=self._now(), unbound=refused)

    def require_bindings_check(self, portal: Portal) -> None:
        """Have the next administrator's open put back what an update took away."""
        self._change(portal, bindings_at=None)

    def uninstall(self, portal: Portal, *, clean: bool = True) -> None:
        """Delete everything about the portal's people at once; a tombstone remains.

        ``clean`` resets what the portal's administrators chose, too; who chose it is deleted either way.
        A second event, or one that lost the race against another, finds nothing left to delete. One that
        lost against a reinstallation finds another generation and leaves it alone.
        """
        if not self._database.write(lambda session: self._uninstall(session, portal, clean=clean)):
            return
        self._database.checkpoint_wal()
        log.info("portal_uninstalled", portal=portal.id)

    def _uninstall(self, session: Session, portal: Portal, *, clean: bool) -> bool:
        same = (Portal.id == portal.id, Portal.generation == portal.generation)
        # The lock that everybody begins with, on a tombstone too (see locks.py).
        if session.scalar(select(Portal.id).where(*same).with_for_update()) is None:
            return False
        allow_time(session.connection(), seconds=UNINSTALL_SECONDS)
        for table in (Person, Run, RateLimit, ApiCall):
            session.execute(delete(table).where(table.portal_id == portal.id))
        session.execute(
            update(Portal)
            .where(*same, Portal.state != PortalState.UNINSTALLED)
            .values(state=PortalState.UNINSTALLED, uninstalled_at=self._now(), **_tombstone_values(clean=clean))
        )
        vacuum.request(session)
        return True

    def has_token(self, portal: Portal, posted: SecretStr) -> bool:
        """Tell, in constant time, whether this is the portal's ``application_token``, or just was."""
        sealed = [portal.application_token]
        until = portal.previous_until
        if until is not None and not is_due(until, self._now(), max_wait=PREVIOUS_TOKEN_LIFETIME):
            sealed.append(portal.previous_token)
        # Each is compared, also after one fitted: how long it takes tells nothing.
        fits = [self._matches(portal, one, posted) for one in sealed if one is not None]
        return any(fits)

    def _matches(self, portal: Portal, sealed: str, posted: SecretStr) -> bool:
        try:
            stored = self._encryption.decrypt(sealed, owner=portal_context(portal.member_id))
        except DecryptionError:
            log.error("application_token_unsealable", portal=portal.id)
            return False
        return hmac.compare_digest(stored.get_secret_value().encode(), posted.get_secret_value().encode())

    def _lock_or_insert(self, session: Session, verified: VerifiedPortal) -> Portal:
        whose = {"member": verified.member_id}
        portal = session.scalar(_LOCK, whose)
        if portal is not None:
            return portal
        if verified.address is None:
            raise VerificationFailed("unknown_portal")
        origin, authorization_server = verified.address
        new = {
            "member_id": verified.member_id,
            "origin": origin,
            "authorization_server": authorization_server,
            "app_status": "",
            "state": PortalState.ACTIVE,
            "generation": 1,
            "installed_at": self._now(),
            "proven_at": self._now(),
        }
        insert_or_ignore(session, Portal, [new])
        return session.scalars(_LOCK, whose).one()

    def _change(self, portal: Portal, **values: object) -> None:
        same = (Portal.id == portal.id, Portal.generation == portal.generation)
        changed = update(Portal).where(*same, Portal.state != PortalState.UNINSTALLED).values(**values)
        self._database.write(lambda session: session.execute(changed))


def _tombstone_values(*, clean: bool) -> dict[str, object]:
    """Return what an uninstallation makes of the portal's own columns."""
    left: dict[str, object] = {
        "app_code": None,
        "previous_token": None,
        "previous_until": None,
        "bindings_at": None,
        "scopes": None,
        "unbound": None,
        **LEARNED_COLUMNS,
    }
    if clean:
        left |= DECIDED_COLUMNS
    return left
