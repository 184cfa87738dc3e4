"""Store OAuth token pairs encrypted, and lease each pair's refresh to one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Insert, and_, not_, or_, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import GrantRejected
from dashboard.bitrix24.schemas import TokenResponse
from dashboard.core.database import Database, dialect_of, execute_and_count, insert_into
from dashboard.core.encryption import DecryptionError, TokenEncryption, token_context
from dashboard.core.stored_times import due, is_ahead, is_due
from dashboard.models import OAuthToken, Person, Portal, TokenState
from dashboard.portals.portal_lock import lock_portal

# Longer than a refresh can take, so that only a killed process leaves its lease to expire.
LEASE_DURATION = timedelta(seconds=50)
_PAIR_COLUMNS = (
    *("access_token", "refresh_token", "expires_at", "renewed_at", "state"),
    *("lease_owner", "lease_until", "renewal_failed_at"),
)


@dataclass(frozen=True)
class TokenPair:
    """A person's valid token pair and the state of its refresh; each new pair has another ``version``."""

    portal: Portal
    person: Person
    access: SecretStr
    refresh: SecretStr | None
    version: int
    leased_until: datetime | None
    refresh_failed_at: datetime | None
    paused_until: datetime | None

    def is_leased(self, now: datetime) -> bool:
        """Tell whether a process is refreshing the pair."""
        return self.leased_until is not None and not is_due(self.leased_until, now, max_wait=LEASE_DURATION)

    def has_failed_between(self, started: datetime, now: datetime) -> bool:
        """Tell whether a refresh failed in this time."""
        failed_at = self.refresh_failed_at
        return failed_at is not None and failed_at >= started and not is_ahead(failed_at, now)


@dataclass(frozen=True)
class TokenStore:
    """Encrypts, stores and decrypts users' token pairs.

    Only ``key_rotation.py``, to re-encrypt them, and ``doctor``, to check the keys, also decrypt stored tokens.
    """

    database: Database
    encryption: TokenEncryption
    now: Callable[[], datetime]

    def save(
        self,
        session: Session,
        portal: Portal,
        person: Person,
        *,
        access: SecretStr,
        refresh: SecretStr | None,
        expires_in: int,
    ) -> None:
        """Store the pair of an opening in place of any other: it is the newest.

        A refresh under way then fails its compare-and-set and continues with this pair. A pair without a
        refresh token does not replace one that can be refreshed.
        """
        columns = self._columns(portal, person, access, refresh, expires_in)
        session.connection().execute(_upsert(dialect_of(session)), {"person_id": person.id, "version": 1, **columns})
        person.chain_state = TokenState.VALID

    def get(self, portal: Portal, person: Person) -> TokenPair:
        """Return the person's token pair.

        :raise GrantRejected: there is none, it is marked as invalid, or no key decrypts it; the next opening
            brings one.
        """
        with self.database.read_session() as session:
            row = session.get(OAuthToken, person.id)
        if row is None or row.state != TokenState.VALID:
            raise GrantRejected("reconnect")
        try:
            access = self._decrypt(row.access_token, portal, person, "access")
            refresh = self._decrypt(row.refresh_token, portal, person, "refresh") if row.refresh_token else None
        except DecryptionError:
            raise GrantRejected("reconnect") from None
        times = (row.lease_until, row.renewal_failed_at, row.renewal_paused_until)
        return TokenPair(portal, person, access, refresh, row.version, *times)

    def acquire_lease(self, tokens: TokenPair) -> str | None:
        """Return a lease to refresh this pair, None where another process has one or stored a newer pair."""
        lease, now = uuid4().hex, self.now()
        free = or_(OAuthToken.lease_until.is_(None), due(OAuthToken.lease_until, now, max_wait=LEASE_DURATION))
        values = {"lease_owner": lease, "lease_until": now + LEASE_DURATION, "renewal_failed_at": None}
        with self.database.write_session() as session:
            return lease if _update_row(session, tokens, free, **values) else None

    def replace(self, tokens: TokenPair, response: TokenResponse) -> None:
        """Store a refreshed pair unless another one was stored since.

        The lease does not matter: even after it expired, the process with the response has the only valid
        pair.
        """
        refresh = response.refresh_token or tokens.refresh
        columns = self._columns(tokens.portal, tokens.person, response.access_token, refresh, response.expires_in)

        def replace(session: Session) -> None:
            if lock_portal(session, tokens.portal):
                _update_row(session, tokens, version=tokens.version + 1, **columns)

        self.database.write(replace)

    def mark_invalid(self, tokens: TokenPair, lease: str) -> bool:
        """Mark a pair as invalid; return False if another pair has been stored or leased since."""
        values = {"state": TokenState.REVOKED, "lease_owner": None, "lease_until": None}
        return self.database.write(
            lambda session: (
                lock_portal(session, tokens.portal)
                and _update_row(session, tokens, OAuthToken.lease_owner == lease, **values)
            )
        )

    def release(self, tokens: TokenPair, lease: str) -> None:
        """Give the lease back after a failed refresh; the processes that wait for it fail too."""
        with self.database.write_session() as session:
            session.execute(
                update(OAuthToken)
                .where(OAuthToken.person_id == tokens.person.id, OAuthToken.lease_owner == lease)
                .values(lease_owner=None, lease_until=None, renewal_failed_at=self.now())
            )

    def pause(self, person: Person, duration: timedelta) -> None:
        """Stop refreshing for this person for a while, even if they open the app and post a new pair.

        A portal that rejects every token would reject that pair too.
        """
        values = {"renewal_paused_until": self.now() + duration}
        with self.database.write_session() as session:
            session.execute(update(OAuthToken).where(OAuthToken.person_id == person.id).values(values))

    def most_trusted_person(self, portal: Portal) -> Person | None:
        """Return the person whose refresh shows whether the application is installed, None if no pair is valid.

        This is the administrator with the newest pair, else the person with the newest. Anybody can post a
        refresh token of another portal. An administrator is trusted because they could uninstall the app themselves.
        """
        query = (
            select(Person)
            .join(OAuthToken, OAuthToken.person_id == Person.id)
            .where(Person.portal_id == portal.id, OAuthToken.state == TokenState.VALID)
            .order_by(Person.is_admin.desc(), OAuthToken.renewed_at.desc())
            .limit(1)
        )
        # The lock, which needs a write transaction, waits for an opening that is storing a newer pair.
        return self.database.write(lambda session: session.scalar(query) if lock_portal(session, portal) else None)

    def _columns(
        self, portal: Portal, person: Person, access: SecretStr, refresh: SecretStr | None, expires_in: int
    ) -> dict[str, Any]:
        """Return the columns of a new pair: valid, and leased by nobody."""
        now = self.now()
        encrypted = (
            self._encrypt(access, portal, person, "access"),
            self._encrypt(refresh, portal, person, "refresh") if refresh else None,
        )
        values = (*encrypted, now + timedelta(seconds=expires_in), now, TokenState.VALID, None, None, None)
        return dict(zip(_PAIR_COLUMNS, values, strict=True))

    def _encrypt(self, token: SecretStr, portal: Portal, person: Person, part: str) -> str:
        return self.encryption.encrypt(token, context=token_context(portal.member_id, person.user_id, part))

    def _decrypt(self, ciphertext: str, portal: Portal, person: Person, part: str) -> SecretStr:
        return self.encryption.decrypt(ciphertext, context=token_context(portal.member_id, person.user_id, part))


@cache  # building the statement takes longer than running it
def _upsert(dialect: str) -> Insert:
    """Return the statement that stores a pair in place of any other."""
    new = insert_into(dialect, OAuthToken)
    changes = {name: new.excluded[name] for name in _PAIR_COLUMNS} | {"version": OAuthToken.version + 1}
    can_be_refreshed = and_(OAuthToken.state == TokenState.VALID, OAuthToken.refresh_token.is_not(None))
    keep = and_(new.excluded.refresh_token.is_(None), can_be_refreshed)
    return new.on_conflict_do_update(index_elements=["person_id"], set_=changes, where=not_(keep))


def _update_row(session: Session, tokens: TokenPair, *conditions: ColumnElement[bool], **values: Any) -> bool:
    """Update the row if it still contains this pair, and the person's copy of the state; return whether it did."""
    person_id = tokens.person.id
    is_this_pair = (OAuthToken.person_id == person_id, OAuthToken.version == tokens.version)
    changed = execute_and_count(session, update(OAuthToken).where(*is_this_pair, *conditions).values(**values)) == 1
    if changed and "state" in values:
        session.execute(update(Person).where(Person.id == person_id).values(chain_state=values["state"]))
    return changed
