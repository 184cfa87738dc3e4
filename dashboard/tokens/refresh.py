"""The one way to call Bitrix24 with a person's stored token, renewed once among many when it is refused."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import structlog
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import (
    ApplicationGone,
    Bitrix24Error,
    GrantRejected,
    KeysRejected,
    NotAnswered,
    OwnLimit,
    PaymentRequired,
    PortalMoved,
    PortalRefused,
    TokenRejected,
    Unreachable,
    Unreadable,
)
from dashboard.bitrix24.masking import RecordCall
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import TokenResponse
from dashboard.core.database import Database
from dashboard.core.stored_times import is_ahead, is_due
from dashboard.models import Person, Portal, PortalState
from dashboard.portals.installations import Installations, VerificationFailed
from dashboard.portals.portal_lock import lock_portal
from dashboard.portals.throttle import Limit, Throttle, TooManyFailures
from dashboard.tokens import store_retry
from dashboard.tokens.store import TokenPair, TokenStore

log = structlog.get_logger()
T = TypeVar("T")

# Longer than a refresh can take, so that only a killed process loses it.
LEASE = timedelta(seconds=50)
WAIT_SECONDS = 12.0
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.25
REFRESH_COOLDOWN = timedelta(minutes=1)  # after a renewed pair was refused like the one before
# After a renewal was refused with what is not true of the portal; longer pauses are a clock's mistake.
MAX_REFRESH_PAUSE = timedelta(minutes=10)
# Of one portal: more than the fastest run needs, where each person's token has expired.
REFRESH_LIMIT = Limit(depth=60, seconds=0.25)
# Of one portal: renewed pairs that it refused like those before, whoever's they were.
REJECTED_REFRESH_LIMIT = Limit(depth=10, seconds=60)

Use = Callable[[Client, str], T]


class RefreshBusy(Unreachable):
    """Another process renews the pair and has not stored one; ``until`` is when its lease ends."""

    def __init__(self, *, until: datetime) -> None:
        super().__init__("renewal_busy")
        self.until = until


class TokenRefresher:
    """The chains at work. Its transactions are short and its own: none is open during a request."""

    def __init__(
        self,
        *,
        database: Database,
        token_store: TokenStore,
        installations: Installations,
        servers: AuthorizationServers,
        throttle: Throttle,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._token_store = token_store
        self._installations = installations
        self._servers = servers
        self._throttle = throttle
        self._now = now
        self._sleep = sleep

    def call_with_token(self, portal: Portal, person: Person, use: Use[T], *, record: RecordCall) -> T:
        """Return ``use(client, token)`` with the person's stored token, renewed once if it is refused.

        ``use`` may run twice; it must only read. ``record`` gets every request made on the way.

        :raise GrantRejected: the chain is void; the person's next open heals it.
        :raise PaymentRequired: the portal is suspended from now on.
        :raise ApplicationGone: the authorization server says that it is not installed; when it said so of
            the chain that speaks for the portal, its people are deleted.
        :raise Bitrix24Error: any other leaf; nothing was changed.
        """
        tokens = self._stored_pair(portal, person)
        try:
            try:
                result = self._use(portal, tokens, use, record)
            except TokenRejected as refusal:
                tokens = self._wait_or_refresh(portal, person, tokens, refusal, record)
                result = self._use_refreshed(portal, person, tokens, use, record)
        except PaymentRequired:
            self._installations.set_state(portal, PortalState.SUSPENDED)
            raise
        except ApplicationGone:
            self._handle_app_removed(portal, person)
            raise
        self._installations.set_state(portal, PortalState.ACTIVE)
        return result

    def refresh(self, portal: Portal, person: Person, *, record: RecordCall) -> None:
        """Renew the person's chain although nobody refused it: one that rests too long dies.

        :raise Bitrix24Error: it could not be renewed; ``call`` says what each leaf means and does.
        """
        tokens = self._stored_pair(portal, person)
        try:
            self._wait_or_refresh(portal, person, tokens, TokenRejected("idle"), record)
        except PaymentRequired:
            self._installations.set_state(portal, PortalState.SUSPENDED)
            raise
        except ApplicationGone:
            self._handle_app_removed(portal, person)
            raise

    def application_is_gone(self, portal: Portal, *, record: RecordCall) -> bool:
        """Ask the authorization server whether the application was removed from the portal; delete nothing.

        It is asked with the token that speaks for the portal. False also where it says nothing certain.
        """
        with self._database.read_session() as session:
            speaker = self._token_store.portal_token_owner(session, portal)
            tokens = self._token_store.get(session, portal, speaker).tokens if speaker else None
        if speaker is None or tokens is None:
            return False
        try:
            try:
                self._servers.app_info(portal.authorization_server, tokens.access, record=record)
            except TokenRejected as refusal:
                # An expired token tells nothing of the application; its renewal does.
                self._wait_or_refresh(portal, speaker, tokens, refusal, record)
        except ApplicationGone:
            return True
        except Bitrix24Error as error:
            log.info("uninstallation_not_confirmed", portal=portal.id, code=error.code)
        return False

    def _handle_app_removed(self, portal: Portal, person: Person) -> None:
        """Act on the authorization server's word that the application is not installed.

        Only one chain speaks for the portal: another may be left over from an installation before the
        present one, or hold what somebody put into their form.
        """

        def speaks(session: Session) -> bool:
            if not lock_portal(session, portal):
                return False
            speaker = self._token_store.portal_token_owner(session, portal)
            return speaker is not None and speaker.id == person.id

        if self._database.write(speaks):
            self._installations.uninstall(portal)

    def _use(self, portal: Portal, tokens: TokenPair, use: Use[T], record: RecordCall) -> T:
        token = tokens.access.get_secret_value()
        try:
            return use(self._installations.client(portal.origin, record=record), token)
        except PortalMoved:
            moved = self._installations.relocate(portal, tokens.access, record=record)
        except (Unreachable, Unreadable) as silence:
            moved = self._find_new_address(portal, tokens, silence, record)
        return use(self._installations.client(moved.origin, record=record), token)

    def _find_new_address(self, portal: Portal, tokens: TokenPair, silence: NotAnswered, record: RecordCall) -> Portal:
        """Return the portal at another address than the one that is gone, if it has one by now.

        :raise TokenRejected: the authorization server tells it with the next pair, this one has expired.
        :raise PortalRefused: it says more than that.
        """
        if not silence.suggests_move:
            raise silence
        try:
            proof = self._installations.verify_token(
                portal.member_id, tokens.access, server=portal.authorization_server, record=record
            )
        except PortalRefused:
            raise
        except (Bitrix24Error, VerificationFailed) as refusal:
            expired = isinstance(refusal, TokenRejected) and refusal.code.lower() == "expired_token"
            raise (refusal if expired else silence) from None
        if proof.origin == portal.origin:
            raise silence
        return self._installations.set_address(portal, proof.origin)

    def _use_refreshed(self, portal: Portal, person: Person, tokens: TokenPair, use: Use[T], record: RecordCall) -> T:
        """Use a pair that was just renewed; when it is refused too, renewing again so soon is no use."""
        try:
            return self._use(portal, tokens, use, record)
        except TokenRejected:
            self._pause(person, REFRESH_COOLDOWN)
            self._throttle.record_failure(_rejected_refreshes_key(portal), REJECTED_REFRESH_LIMIT)
            raise

    def _pause(self, person: Person, lasts: timedelta) -> None:
        with self._database.write_session() as session:
            self._token_store.pause(session, person, until=self._now() + lasts)

    def _is_paused(self, portal: Portal, until: datetime | None) -> bool:
        """Tell whether renewing is no use: not for this person, or not for anybody of the portal."""
        if until is not None and not is_due(until, self._now(), max_wait=MAX_REFRESH_PAUSE):
            return True
        try:
            self._throttle.check(_rejected_refreshes_key(portal), REJECTED_REFRESH_LIMIT)
        except TooManyFailures:
            return True
        return False

    def _stored_pair(self, portal: Portal, person: Person) -> TokenPair:
        with self._database.read_session() as session:
            tokens = self._token_store.get(session, portal, person).tokens
        if tokens is None:
            raise GrantRejected("reconnect")
        return tokens

    def _wait_or_refresh(
        self, portal: Portal, person: Person, refused: TokenPair, refusal: TokenRejected, record: RecordCall
    ) -> TokenPair:
        """Return a newer pair than the refused one: another process's, or one renewed here under the lease.

        Losers wait with jitter and take what the winner stored; when the winner learned nothing, or
        the wait is over, they give up as it did.
        """
        owner, began, waited = uuid4().hex, self._now(), 0.0
        now, leased_until = began, None
        while waited < WAIT_SECONDS:
            with self._database.read_session() as session:
                standing = self._token_store.get(session, portal, person)
            if standing.tokens is None:
                raise GrantRejected("reconnect")
            if standing.tokens.version != refused.version:
                return standing.tokens
            now, leased_until = self._now(), standing.leased_until
            failed_at = standing.renewal_failed_at
            if failed_at is not None and failed_at >= began and not is_ahead(failed_at, now):
                raise Unreachable("renewal_failed")
            if leased_until is None or is_due(leased_until, now, max_wait=LEASE):
                if self._is_paused(portal, standing.paused_until):
                    raise refusal
                with self._database.write_session() as session:
                    won = self._token_store.acquire_lease(
                        session, person, version=refused.version, owner=owner, now=self._now(), lasts=LEASE
                    )
                if won:
                    return self._refresh_and_store(portal, person, standing.tokens, record, owner=owner)
            pause = random.uniform(MIN_POLL_SECONDS, MAX_POLL_SECONDS)  # noqa: S311  # jitter, not a secret
            self._sleep(pause)
            waited += pause
        raise RefreshBusy(until=leased_until or now)

    def _refresh_and_store(
        self, portal: Portal, person: Person, tokens: TokenPair, record: RecordCall, *, owner: str
    ) -> TokenPair:
        """Renew under the lease and return what is stored then; the pair is stored before it is used."""
        try:
            pair = self._request_refresh(portal, person, tokens, record)
        except GrantRejected:
            void = self._database.write(
                lambda session: (
                    lock_portal(session, portal)
                    and self._token_store.revoke(session, person, version=tokens.version, owner=owner)
                )
            )
            log.info("chain_refused", portal=portal.id, person=person.id, void=void)
            # Somebody stored another pair meanwhile (the person opened the application): theirs is good.
            return self._reload_newer(portal, person, tokens)
        except Bitrix24Error as error:
            with self._database.write_session() as session:
                self._token_store.release(session, person, owner=owner, failed_at=self._now())
            log.warning("renewal_failed", portal=portal.id, person=person.id, code=error.code)
            raise
        self._store(portal, person, tokens, pair)
        log.info("chain_renewed", portal=portal.id, person=person.id)
        if pair.origin:
            self._installations.set_address(portal, pair.origin)
        return self._reload_newer(portal, person, tokens)

    def _request_refresh(self, portal: Portal, person: Person, tokens: TokenPair, record: RecordCall) -> TokenResponse:
        """Return a new pair of the person's.

        What voids the old pair is `GrantRejected` alone: the authorization server refuses this very refresh
        token, or says that its application is gone while the portal's is there, or answers with somebody
        else's pair. Every other leaf may be said of a pair that is good.

        :raise GrantRejected: see above.
        :raise TokenRejected: what was said is not true of the portal; nothing is renewed for a while.
        :raise OwnLimit: too many renewals of this portal at once.
        :raise Bitrix24Error: any other leaf.
        """
        if tokens.refresh is None:
            raise GrantRejected("reconnect")
        self._limit_refreshes(portal)
        try:
            pair = self._servers.refresh(portal.authorization_server, tokens.refresh, record=record)
        except (PortalRefused, KeysRejected) as refusal:
            if self._applies_to_portal(portal, person, refusal, record):
                raise
            if isinstance(refusal, ApplicationGone):
                raise GrantRejected("foreign_token") from None
            log.warning("renewal_refused", portal=portal.id, person=person.id, code=refusal.code)
            self._pause(person, MAX_REFRESH_PAUSE)
            # All that is certain: the access token has expired, and there is no other for now.
            raise TokenRejected("expired_token") from None
        foreign_portal = pair.member_id not in ("", portal.member_id)
        if foreign_portal or pair.user_id not in (None, person.user_id):
            # A technical user took the chain over when its person was dismissed, or worse: not theirs.
            raise GrantRejected("foreign_token")
        return pair

    def _limit_refreshes(self, portal: Portal) -> None:
        try:
            self._throttle.record_or_raise(f"renewals {portal.id}", REFRESH_LIMIT)
        except TooManyFailures as full:
            until = self._now().timestamp() + full.seconds
            raise OwnLimit("too_many_renewals", resets_at=until) from None

    def _applies_to_portal(self, portal: Portal, person: Person, refusal: Bitrix24Error, record: RecordCall) -> bool:
        """Tell whether what a renewal was refused with is true of the portal as a whole.

        The refresh token came in the person's form: one of a portal of their own, where the application was
        removed, is refused in the same words. So the chain that speaks for the portal is renewed too.

        :raise Unreachable: that one cannot tell now.
        """
        with self._database.read_session() as session:
            speaker = self._token_store.portal_token_owner(session, portal)
        if speaker is None or speaker.id == person.id:
            return True
        try:
            self.refresh(portal, speaker, record=record)
        except type(refusal):
            return True
        except Bitrix24Error:
            raise Unreachable("renewal_failed") from None
        return False

    def _store(self, portal: Portal, person: Person, tokens: TokenPair, pair: TokenResponse) -> None:
        """Store the renewed pair, trying again while the database is away: nobody else holds a valid one.

        When that takes too long for whoever waits, it is tried on for as long as this process lives.
        """

        def replace(session: Session) -> None:
            if lock_portal(session, portal):
                self._token_store.replace(
                    session,
                    portal,
                    person,
                    version=tokens.version,
                    access=pair.access_token,
                    refresh=pair.refresh_token or tokens.refresh,
                    expires_in=pair.expires_in,
                    now=self._now(),
                )

        def store() -> None:
            self._database.write(replace)

        store_retry.retry_until_stored(store, sleep=self._sleep, person=person.id)

    def _reload_newer(self, portal: Portal, person: Person, before: TokenPair) -> TokenPair:
        """Return the pair that stands in the store now, if it is another one than before."""
        tokens = self._stored_pair(portal, person)
        if tokens.version == before.version:
            raise GrantRejected("reconnect")
        return tokens


def _rejected_refreshes_key(portal: Portal) -> str:
    return f"useless renewals {portal.id}"
