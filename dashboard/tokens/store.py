"""Token chains in the store: kept, leased by one process at a time, replaced by compare-and-set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Insert, and_, not_, or_, select, update
from sqlalchemy.orm import Session

from dashboard.core.database import dialect_of, insert_into, rows_changed
from dashboard.core.encryption import DecryptionError, TokenEncryption, token_context
from dashboard.core.stored_times import due
from dashboard.models import OAuthToken, Person, Portal, TokenState


@dataclass(frozen=True)
class TokenPair:
    """A pair as it stands in the store; ``version`` tells whether somebody has replaced it since."""

    access: SecretStr
    refresh: SecretStr | None
    version: int


@dataclass(frozen=True)
class TokenStatus:
    """A chain as it stands: its tokens, None when it must be reconnected, and what its renewal is doing."""

    tokens: TokenPair | None
    leased_until: datetime | None
    renewal_failed_at: datetime | None
    paused_until: datetime | None


PAIR_COLUMNS = (
    *("access_token", "refresh_token", "expires_at", "renewed_at", "state"),
    *("lease_owner", "lease_until", "renewal_failed_at"),
)


@cache
def _UPSERT(dialect: str) -> Insert:
    """Return the statement that puts a pair in place of another, whatever its version.

    Made once: to make such a statement takes longer than to run it.
    """
    new = insert_into(dialect, OAuthToken)
    # All that comes with a pair; the number that tells pairs apart counts on.
    changes = {name: new.excluded[name] for name in PAIR_COLUMNS} | {"version": OAuthToken.version + 1}
    renewable = and_(OAuthToken.state == TokenState.VALID, OAuthToken.refresh_token.is_not(None))
    keeps = and_(new.excluded.refresh_token.is_(None), renewable)
    return new.on_conflict_do_update(index_elements=["person_id"], set_=changes, where=not_(keeps))


class TokenStore:
    """The only code that seals and unseals people's tokens."""

    def __init__(self, encryption: TokenEncryption) -> None:
        self._encryption = encryption

    def save(
        self,
        session: Session,
        portal: Portal,
        person: Person,
        *,
        access: SecretStr,
        refresh: SecretStr | None,
        expires_in: int,
        now: datetime,
    ) -> None:
        """Store the pair of an opening, whatever was there: it is the newest.

        A renewal under way loses: its compare-and-set fails, and it goes on with this pair. An opening
        without a refresh token does not displace a chain that can be renewed.
        """
        pair = self._pair(portal, person, access, refresh, expires_in, now)
        session.connection().execute(_UPSERT(dialect_of(session)), {"person_id": person.id, "version": 1, **pair})
        person.chain_state = TokenState.VALID

    def get(self, session: Session, portal: Portal, person: Person) -> TokenStatus:
        """Return the chain as it stands. One that is missing or cannot be unsealed must be reconnected."""
        chain = session.get(OAuthToken, person.id, populate_existing=True)
        if chain is None:
            return TokenStatus(None, None, None, None)
        tokens = self._decrypted_pair(chain, portal, person) if chain.state == TokenState.VALID else None
        return TokenStatus(tokens, chain.lease_until, chain.renewal_failed_at, chain.renewal_paused_until)

    def acquire_lease(
        self, session: Session, person: Person, *, version: int, owner: str, now: datetime, lasts: timedelta
    ) -> bool:
        """Take the right to renew this version; the loser gets False, waits, and reads what was stored."""
        free = or_(OAuthToken.lease_until.is_(None), due(OAuthToken.lease_until, now, max_wait=lasts))
        return self._change(
            session, person, version, free, lease_owner=owner, lease_until=now + lasts, renewal_failed_at=None
        )

    def replace(
        self,
        session: Session,
        portal: Portal,
        person: Person,
        *,
        version: int,
        access: SecretStr,
        refresh: SecretStr | None,
        expires_in: int,
        now: datetime,
    ) -> bool:
        """Store a renewed pair if the version is still the one it was renewed from.

        The lease is not asked: whoever holds the answer of the authorization server holds the only valid
        pair, even when the answer came so late that the lease had run out. The caller has locked the portal.
        """
        pair = self._pair(portal, person, access, refresh, expires_in, now)
        return self._change(session, person, version, version=version + 1, **pair)

    def release(self, session: Session, person: Person, *, owner: str, failed_at: datetime) -> None:
        """Give the lease back after a renewal that decided nothing; those who waited for it give up too."""
        session.execute(
            update(OAuthToken)
            .where(OAuthToken.person_id == person.id, OAuthToken.lease_owner == owner)
            .values(lease_owner=None, lease_until=None, renewal_failed_at=failed_at)
        )

    def pause(self, session: Session, person: Person, *, until: datetime) -> None:
        """Renew no pair of the person until then, not one that comes meanwhile either.

        Each opening brings a new pair; a portal that refuses whatever it is shown refuses that one too.
        """
        session.execute(update(OAuthToken).where(OAuthToken.person_id == person.id).values(renewal_paused_until=until))

    def portal_token_owner(self, session: Session, portal: Portal) -> Person | None:
        """Return whose chain speaks for the portal as a whole; None where no chain is live.

        An administrator's newest, else the newest of all. A refresh token comes in a form, and only its
        renewal tells whose it is; an administrator may end the installation anyway.
        """
        found = (
            select(Person)
            .join(OAuthToken, OAuthToken.person_id == Person.id)
            .where(Person.portal_id == portal.id, OAuthToken.state == TokenState.VALID)
            .order_by(Person.is_admin.desc(), OAuthToken.renewed_at.desc())
            .limit(1)
        )
        return session.scalar(found)

    def revoke(self, session: Session, person: Person, *, version: int, owner: str) -> bool:
        """Mark the chain as void; False if somebody has stored another pair or leased it since.

        The caller has locked the portal: the chain's row is changed and the person's.
        """
        mine = OAuthToken.lease_owner == owner
        return self._change(
            session, person, version, mine, state=TokenState.REVOKED, lease_owner=None, lease_until=None
        )

    def _change(
        self,
        session: Session,
        person: Person,
        of_version: int,
        *conditions: ColumnElement[bool],
        **values: Any,
    ) -> bool:
        same = (OAuthToken.person_id == person.id, OAuthToken.version == of_version)
        changed = rows_changed(session, update(OAuthToken).where(*same, *conditions).values(**values)) == 1
        if changed and "state" in values:
            state = {"chain_state": values["state"]}
            rows_changed(session, update(Person).where(Person.id == person.id).values(state))
        return changed

    def _pair(
        self,
        portal: Portal,
        person: Person,
        access: SecretStr,
        refresh: SecretStr | None,
        expires_in: int,
        now: datetime,
    ) -> dict[str, Any]:
        """Return the columns of a fresh pair; nobody is renewing it, and it is live."""
        seal, member_id, user_id = self._encryption.encrypt, portal.member_id, person.user_id
        return {
            "access_token": seal(access, owner=token_context(member_id, user_id, "access")),
            "refresh_token": seal(refresh, owner=token_context(member_id, user_id, "refresh")) if refresh else None,
            "expires_at": now + timedelta(seconds=expires_in),
            "renewed_at": now,
            "state": TokenState.VALID,
            "lease_owner": None,
            "lease_until": None,
            "renewal_failed_at": None,
        }

    def _decrypted_pair(self, chain: OAuthToken, portal: Portal, person: Person) -> TokenPair | None:
        try:
            access = self._encryption.decrypt(
                chain.access_token, owner=token_context(portal.member_id, person.user_id, "access")
            )
            refresh = chain.refresh_token and self._encryption.decrypt(
                chain.refresh_token, owner=token_context(portal.member_id, person.user_id, "refresh")
            )
        except DecryptionError:
            return None
        return TokenPair(access, refresh or None, chain.version)
