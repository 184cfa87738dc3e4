"""Who fails to prove what they claim is counted, written down, and slowed when it happens too often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_address

import structlog
from flask import g, request

from dashboard.bitrix24.errors import (
    ApplicationGone,
    CredentialsRefused,
    GrantRejected,
    PersonRefused,
    PortalMoved,
    TokenRejected,
)
from dashboard.launch.events import EventRefused
from dashboard.models import Portal
from dashboard.portals.installations import VerificationFailed
from dashboard.portals.throttle import (
    UNTRUSTED_PROXY,
    Limit,
    Throttle,
    TooManyFailures,
    address_in,
    network_of,
)

log = structlog.get_logger()

# What tells that a posted token proves nothing. A portal that is closed, unpaid or busy is no refused proof.
FAILED_PROOFS = (
    VerificationFailed,
    TokenRejected,
    CredentialsRefused,
    GrantRejected,
    PersonRefused,
    ApplicationGone,
)
# Openings that claim a portal we know without its APPLICATION_TOKEN: a browser reloading old pages stays far
# below; somebody who tries tokens is held to ten a minute.
PROOF_LIMIT = Limit(depth=50, seconds=6)
# Claims of portals we do not know, all together: a new portal behind the same address must still get in.
UNKNOWN_PORTAL_LIMIT = Limit(depth=300, seconds=1)
# Failures of whoever knows a portal's APPLICATION_TOKEN. Beyond these they are not refused; the authorization
# server is asked before the portal, whose limit of requests they would use up.
KNOWN_TOKEN_LIMIT = Limit(depth=20, seconds=6)
# Between two lines of the log that say that a proxy is not trusted.
PROXY_WARNING_SECONDS = 600


class ProofThrottle:
    """The count of refused proofs at the doors that nobody's session opens."""

    def __init__(self, throttle: Throttle, *, proxies: int, now: Callable[[], datetime]) -> None:
        self._throttle = throttle
        self._proxies = proxies
        self._now = now
        self._warned_at: datetime | None = None

    @contextmanager
    def opening(self, portal: Portal | None, *, has_token: bool) -> Iterator[bool]:
        """Let an opening be proven inside; yield whether the portal may be asked before its token is proven.

        ``has_token`` says that the opening carries the known portal's true ``APPLICATION_TOKEN``. Such an
        opening always gets to its proof: others behind the same address cannot lock its people out.

        :raise TooManyFailures: too many from its address failed; nothing was asked of Bitrix24.
        """
        name, allowance = self._key(portal, has_token=has_token)
        try:
            counted = self._check(name, allowance)
            portal_first = has_token
        except TooManyFailures:
            if not has_token:
                raise
            counted, portal_first = True, False
        try:
            yield portal_first
        except FAILED_PROOFS as refusal:
            self._throttle.record_failure(name, allowance)
            self._record("proof_refused", reason=refusal.code, portal=g.get("portal"))
            raise
        except PortalMoved as refusal:
            # Where it points is not proven to be the portal; nobody was asked there.
            self._record("redirect_refused", reason=refusal.code, portal=g.get("portal"))
            raise
        if counted:
            self._throttle.credit(name, allowance)
        self._warn_of_a_proxy(proven=True)

    def _key(self, portal: Portal | None, *, has_token: bool) -> tuple[str, Limit]:
        """Return the name under which a failure of this opening is counted.

        By address and claimed portal, so that failures in one portal refuse nobody of another.
        """
        if portal is None:
            return f"opening {self._address()}", UNKNOWN_PORTAL_LIMIT
        if has_token:
            return f"opening-by-token {portal.id}", KNOWN_TOKEN_LIMIT
        return f"opening {self._address()} {portal.id}", PROOF_LIMIT

    @contextmanager
    def event(self) -> Iterator[Callable[[Portal | None], None]]:
        """Let an event be handled inside; what it yields is to be called before Bitrix24 is asked about it.

        Events come from servers that all portals share. One that proves itself by the portal's token costs
        nothing and is never slowed; those that must be asked about are counted for each known portal apart,
        so that a stranger who makes the same servers send forged ones holds up nobody else's.
        """
        asked: list[tuple[str, Limit]] = []

        def before_asking(portal: Portal | None) -> None:
            name = f"event {self._address()} {portal.id if portal else ''}"
            allowance = PROOF_LIMIT if portal else UNKNOWN_PORTAL_LIMIT
            self._check(name, allowance)
            asked.append((name, allowance))

        try:
            yield before_asking
        except EventRefused as refusal:
            for name, allowance in asked:
                self._throttle.record_failure(name, allowance)
            self._record("event_refused", reason=refusal.reason, portal=refusal.portal, name=refusal.event)
            raise

    def _check(self, name: str, allowance: Limit) -> bool:
        try:
            return self._throttle.check(name, allowance)
        except TooManyFailures as refusal:
            self._record("too_many_failed_proofs", reason=f"{refusal.seconds} s", portal=g.get("portal"))
            raise

    def _record(self, what: str, *, reason: str, portal: Portal | None, **more: str) -> None:
        """Write the line of the security log; the address stands in it as a keyed hash."""
        log.warning(what, reason=reason, portal=portal.id if portal else None, address=self.sender(), **more)

    def sender(self) -> str:
        """Return what stands for the address that the request came from: a keyed hash."""
        return self._throttle.hash_key(self._address())[:16]

    def _address(self) -> str:
        """Return who is calling: the connection's other end, or what the nearest trusted proxy saw there.

        Only so many entries of X-Forwarded-For as there are proxies of ours were written by them; the
        rest is whatever the visitor likes.
        """
        remote = request.remote_addr or ""
        if not self._proxies:
            self._warn_of_a_proxy(proven=False)
            return network_of(remote)
        hops = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
        forwarded = address_in(hops[-self._proxies]) if len(hops) >= self._proxies else None
        return network_of(forwarded or remote)

    def _warn_of_a_proxy(self, *, proven: bool) -> None:
        """Say once in a while that a proxy is not trusted, so that all visitors count as one; `doctor` asks.

        A stranger may write the header too. It is believed from an address that is nobody's on the internet,
        and in an opening that was proven: no browser adds it.
        """
        if self._proxies or "X-Forwarded-For" not in request.headers:
            return
        if not proven and _is_public(request.remote_addr or ""):
            return
        now = self._now()
        if self._warned_at is not None and (now - self._warned_at).total_seconds() < PROXY_WARNING_SECONDS:
            return
        self._warned_at = now
        self._throttle.record_failure(UNTRUSTED_PROXY, PROOF_LIMIT)
        log.warning("proxy_not_trusted", hint="TRUSTED_PROXIES is 0, so that every visitor counts as one")


def _is_public(address: str) -> bool:
    """Tell whether it is an address on the internet; a server behind a socket's path has none at all."""
    try:
        return ip_address(address).is_global
    except ValueError:
        return False
