"""Call Bitrix24 with a person's stored token; when it is rejected, refresh it in one process, and call again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import (
    ApplicationGone,
    Bitrix24Error,
    GrantRejected,
    KeysRejected,
    Limited,
    NotAnswered,
    PaymentRequired,
    PortalRefused,
    TokenRejected,
    Unreachable,
)
from dashboard.bitrix24.masking import CallRecorder
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import TokenResponse
from dashboard.core.stored_times import is_due
from dashboard.models import Person, Portal, PortalState
from dashboard.portals.installations import Installations
from dashboard.portals.throttle import Limit, Throttle, TooManyAttempts
from dashboard.tokens.store import TokenPair, TokenStore
from dashboard.tokens.store_retry import retry_until_stored

log = structlog.get_logger()
T = TypeVar("T")

MAX_LEASE_WAIT_SECONDS = 12.0
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.25
REFRESH_COOLDOWN = timedelta(minutes=1)  # after a portal rejected a refreshed pair too
# Pause after the server refused this person's token but not the portal. This is also the longest pause that is stored.
MAX_REFRESH_PAUSE = timedelta(minutes=10)
# Refreshes of one portal: more than the fastest run needs when every token has expired.
REFRESH_LIMIT = Limit(depth=60, seconds=0.25)
# Refreshed pairs that a portal rejected too, of all its people together.
REJECTED_REFRESH_LIMIT = Limit(depth=10, seconds=60)
_REJECTED_KEY = "rejected token refreshes {}"


class RefreshInProgress(Unreachable):
    """Another process holds the lease, which expires at ``until``, and has stored no new pair in time."""

    def __init__(self, *, until: datetime) -> None:
        # Stored in `people.problem`, as `renewal_failed` is, so both keep their old names.
        super().__init__("renewal_busy")
        self.until = until


@dataclass(frozen=True)
class TokenRefresher:
    """Calls portals with stored tokens. No transaction is open during a request."""

    token_store: TokenStore
    installations: Installations
    servers: AuthorizationServers
    throttle: Throttle
    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    stopping: threading.Event = field(default_factory=threading.Event)  # when set, nobody waits for another process

    def call_with_token(
        self, portal: Portal, person: Person, operation: Callable[[Client, str], T], *, record_call: CallRecorder
    ) -> T:
        """Return ``operation(client, token)`` with the person's token, refreshed once if it is rejected.

        ``operation`` may run twice, so it must only read, or change nothing more the second time. ``record_call``
        receives every request.

        :raise GrantRejected: the refresh token is invalid until the person opens the application.
        :raise PaymentRequired: the portal is now stored as suspended.
        :raise ApplicationGone: the authorization server says that the application is not installed. When it
            says so of the most trusted person's pair, the portal is now uninstalled.
        :raise TokenRejected: refreshing is paused, or the portal rejected the new pair too.
        :raise VerificationFailed: the portal redirects, and the token is not this portal's.
        :raise Bitrix24Error: any other subclass: the portal's state is unchanged.
        """
        tokens = self.token_store.get(portal, person)
        with self._save_portal_state_on_error(tokens):
            try:
                result = self.installations.call(portal, tokens.access, operation, record_call=record_call)
            except TokenRejected as rejection:
                tokens = self._wait_or_refresh(tokens, record_call, rejection=rejection)
                result = self._call_with_refreshed(tokens, operation, record_call)
        self.installations.set_state(portal, PortalState.ACTIVE)
        return result

    def refresh(self, portal: Portal, person: Person, *, record_call: CallRecorder) -> None:
        """Refresh the person's pair, which would expire if it were not used for a long time.

        :raise Bitrix24Error: as ``call_with_token``.
        """
        tokens = self.token_store.get(portal, person)
        with self._save_portal_state_on_error(tokens):
            self._wait_or_refresh(tokens, record_call)

    def confirm_uninstalled(self, portal: Portal, *, record_call: CallRecorder) -> bool:
        """Ask the authorization server whether the application was removed from the portal; delete nothing.

        The answer counts for the most trusted person's pair only. Without such a pair the answer is False.

        :raise NotAnswered: the server did not answer: ask again later.
        :raise Limited: the server asks to wait.
        """
        trusted = self.token_store.most_trusted_person(portal)
        if trusted is None:
            return False
        try:
            tokens = self.token_store.get(portal, trusted)
            try:
                self.servers.app_info(portal.authorization_server, tokens.access, record_call=record_call)
            except TokenRejected as rejection:
                # An expired access token says nothing about the application, so ask by refreshing it.
                self._wait_or_refresh(tokens, record_call, rejection=rejection)
        except ApplicationGone:
            return True
        except (NotAnswered, Limited):
            raise
        except Bitrix24Error as error:
            log.info("uninstallation_not_confirmed", portal=portal.id, code=error.code)
        return False

    @contextmanager
    def _save_portal_state_on_error(self, tokens: TokenPair) -> Iterator[None]:
        """Store a state of the whole portal that an error reports.

        Only the most trusted person's pair proves an uninstallation: any other may be left from an earlier
        installation, or posted by somebody who owns another portal.
        """
        try:
            yield
        except PaymentRequired:
            self.installations.set_state(tokens.portal, PortalState.SUSPENDED)
            raise
        except ApplicationGone:
            trusted = self.token_store.most_trusted_person(tokens.portal)
            if trusted is not None and trusted.id == tokens.person.id:
                self.installations.uninstall(tokens.portal)
            raise

    def _call_with_refreshed(
        self, tokens: TokenPair, operation: Callable[[Client, str], T], record_call: CallRecorder
    ) -> T:
        """Call with a new pair; if it is rejected too, refreshing again soon would not help."""
        try:
            return self.installations.call(tokens.portal, tokens.access, operation, record_call=record_call)
        except TokenRejected:
            self.token_store.pause(tokens.person, REFRESH_COOLDOWN)
            self.throttle.record_failure(_REJECTED_KEY.format(tokens.portal.member_id), REJECTED_REFRESH_LIMIT)
            raise

    def _wait_or_refresh(
        self, old: TokenPair, record_call: CallRecorder, *, rejection: TokenRejected | None = None
    ) -> TokenPair:
        """Return a newer pair: refresh it under a lease, or wait for the process that holds the lease.

        :raise RefreshInProgress: that process stored none in time.
        :raise Unreachable: its refresh failed while we waited.
        :raise TokenRejected: refreshing is paused; ``rejection`` where it is given.
        """
        started, waited = self.now(), 0.0
        while True:
            tokens, now = self.token_store.get(old.portal, old.person), self.now()
            if tokens.version != old.version:
                return tokens
            if tokens.has_failed_between(started, now):
                raise Unreachable("renewal_failed")
            if not tokens.is_leased(now):
                if self._is_paused(tokens, now):
                    raise rejection or TokenRejected("refresh_paused")
                if lease := self.token_store.acquire_lease(tokens):
                    return self._refresh_and_store(tokens, lease, record_call)
            if waited >= MAX_LEASE_WAIT_SECONDS or self.stopping.is_set():
                raise RefreshInProgress(until=tokens.leased_until or now)
            pause = random.uniform(MIN_POLL_SECONDS, MAX_POLL_SECONDS)  # noqa: S311  # jitter, not a secret
            self.sleep(pause)
            waited += pause

    def _is_paused(self, tokens: TokenPair, now: datetime) -> bool:
        """Tell whether refreshing is paused for this person or for the whole portal."""
        if tokens.paused_until is not None and not is_due(tokens.paused_until, now, max_wait=MAX_REFRESH_PAUSE):
            return True
        try:
            self.throttle.check(_REJECTED_KEY.format(tokens.portal.member_id), REJECTED_REFRESH_LIMIT)
        except TooManyAttempts:
            return True
        return False

    def _refresh_and_store(self, tokens: TokenPair, lease: str, record_call: CallRecorder) -> TokenPair:
        """Refresh the pair under the lease, store the new one before it is used, and return what is stored."""
        ids = {"portal": tokens.portal.id, "person": tokens.person.id}
        try:
            response = self._request_refresh(tokens, record_call)
        except GrantRejected:
            is_marked = self.token_store.mark_invalid(tokens, lease)
            log.info("token_grant_rejected", **ids, revoked=is_marked)
            # An opening may have stored a new pair meanwhile; that one is valid.
            return self._reload_newer(tokens)
        except Bitrix24Error as error:
            self.token_store.release(tokens, lease)
            log.warning("token_refresh_failed", **ids, code=error.code)
            raise
        store = partial(self.token_store.replace, tokens, response)
        retry_until_stored(store, sleep=self.sleep, person=tokens.person.id)
        log.info("token_refreshed", **ids)
        if response.origin:
            self.installations.set_address(tokens.portal, response.origin)
        return self._reload_newer(tokens)

    def _request_refresh(self, tokens: TokenPair, record_call: CallRecorder) -> TokenResponse:
        """Request a new pair from the authorization server.

        :raise GrantRejected: the old pair can never be used again; only this error means that. The server
            rejected the token, the token is of another portal where the application was removed, or the
            response is for another user.
        :raise TokenRejected: the server refuses this token, but not the portal; refreshing is paused.
        :raise OwnLimit: too many refreshes of this portal at once.
        :raise Bitrix24Error: any other subclass: the old pair may still be valid.
        """
        portal, person = tokens.portal, tokens.person
        if tokens.refresh is None:
            raise GrantRejected("reconnect")
        self.throttle.take(f"token refreshes {portal.member_id}", REFRESH_LIMIT, code="too_many_token_refreshes")
        try:
            response = self.servers.refresh(portal.authorization_server, tokens.refresh, record_call=record_call)
        except (PortalRefused, KeysRejected) as refusal:
            if self._applies_to_portal(tokens, refusal, record_call):
                raise
            if isinstance(refusal, ApplicationGone):
                raise GrantRejected("foreign_token") from None
            log.warning("token_refresh_paused", portal=portal.id, person=person.id, code=refusal.code)
            self.token_store.pause(person, MAX_REFRESH_PAUSE)
            # To the caller this is an expired access token that cannot be refreshed now.
            raise TokenRejected("expired_token") from None
        if response.member_id not in ("", portal.member_id) or response.user_id not in (None, person.user_id):
            # When an employee is dismissed, Bitrix24 may reassign their tokens to a system user.
            raise GrantRejected("foreign_token")
        return response

    def _applies_to_portal(self, tokens: TokenPair, refusal: Bitrix24Error, record_call: CallRecorder) -> bool:
        """Tell whether the server refuses the whole portal, not just this token.

        It refreshes the most trusted person's pair and compares the refusals. A person can post a refresh token
        of another portal, where the application was removed or is unpaid.

        :raise Unreachable: that refresh failed for another reason.
        """
        trusted = self.token_store.most_trusted_person(tokens.portal)
        if trusted is None or trusted.id == tokens.person.id:
            return True
        try:
            self.refresh(tokens.portal, trusted, record_call=record_call)
        except type(refusal):
            return True
        except Bitrix24Error:
            raise Unreachable("renewal_failed") from None
        return False

    def _reload_newer(self, old: TokenPair) -> TokenPair:
        tokens = self.token_store.get(old.portal, old.person)
        if tokens.version == old.version:
            raise GrantRejected("reconnect")
        return tokens
