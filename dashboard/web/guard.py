"""Who fails to prove what they claim is counted, written down, and slowed when it happens too often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from dashboard.events import EventRefused
from dashboard.models import Portal
from dashboard.portals import ProofRefused
from dashboard.refusals import Allowance, Refusals, TooManyRefusals, network_of

log = structlog.get_logger()

# What tells that a posted token proves nothing. A portal that is closed, unpaid or busy is no refused proof.
REFUSED = (
    ProofRefused,
    TokenRejected,
    CredentialsRefused,
    GrantRejected,
    PersonRefused,
    ApplicationGone,
)
# A browser reloading old pages stays far below; somebody who tries tokens is held to ten a minute.
PROOFS = Allowance(depth=50, seconds=6)


class Guard:
    """The count of refused proofs at the doors that nobody's session opens."""

    def __init__(self, refusals: Refusals, *, proxies: int) -> None:
        self._refusals = refusals
        self._proxies = proxies
        self._warned = False

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Let an opening be proven inside, or refuse it unasked where too many from its address failed.

        :raise TooManyRefusals: nothing was asked of Bitrix24.
        """
        address = self._address()
        name = f"opening {address}"
        counted = self._check(name)
        try:
            yield
        except REFUSED as refusal:
            self._refusals.count(name, PROOFS)
            self._note("proof_refused", reason=refusal.code, portal=g.get("portal"))
            raise
        except PortalMoved as refusal:
            # Where it points is not proven to be the portal; nobody was asked there.
            self._note("redirect_refused", reason=refusal.code, portal=g.get("portal"))
            raise
        if counted:
            self._refusals.forgive(name, PROOFS)

    @contextmanager
    def event(self) -> Iterator[Callable[[Portal | None], None]]:
        """Let an event be handled inside; what it yields is to be called before Bitrix24 is asked about it.

        Events come from servers that all portals share. One that proves itself by the portal's token costs
        nothing and is never slowed; those that must be asked about are counted for each known portal apart,
        so that a stranger who makes the same servers send forged ones holds up nobody else's.
        """
        asked: list[str] = []

        def before_asking(portal: Portal | None) -> None:
            name = f"event {self._address()} {portal.id if portal else ''}"
            self._check(name)
            asked.append(name)

        try:
            yield before_asking
        except EventRefused as refusal:
            for name in asked:
                self._refusals.count(name, PROOFS)
            self._note("event_refused", reason=refusal.reason, portal=refusal.portal, name=refusal.event)
            raise

    def _check(self, name: str) -> bool:
        try:
            return self._refusals.check(name, PROOFS)
        except TooManyRefusals as refusal:
            self._note("too_many_failed_proofs", reason=f"{refusal.seconds} s", portal=g.get("portal"))
            raise

    def _note(self, what: str, *, reason: str, portal: Portal | None, **more: str) -> None:
        """Write the line of the security log; the address stands in it as a keyed hash."""
        whose = self._refusals.hashed(self._address())[:16]
        log.warning(what, reason=reason, portal=portal.id if portal else None, address=whose, **more)

    def _address(self) -> str:
        """Return who is calling: the connection's other end, or what the nearest trusted proxy saw there.

        Only so many entries of X-Forwarded-For as there are proxies of ours were written by them; the
        rest is whatever the visitor likes.
        """
        remote = request.remote_addr or ""
        if not self._proxies:
            self._warn_of_a_proxy(remote)
            return network_of(remote)
        hops = [hop.strip() for hop in ",".join(request.headers.getlist("X-Forwarded-For")).split(",")]
        if len(hops) < self._proxies or not _is_address(hops[-self._proxies]):
            return network_of(remote)
        return network_of(hops[-self._proxies])

    def _warn_of_a_proxy(self, remote: str) -> None:
        """Say once that all visitors look like one: a proxy in front was not told of."""
        told_of = "X-Forwarded-For" in request.headers
        if told_of and not self._warned and _is_address(remote) and ip_address(remote).is_private:
            self._warned = True
            log.warning("proxy_not_trusted", hint="TRUSTED_PROXIES is 0, so that every visitor counts as one")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
