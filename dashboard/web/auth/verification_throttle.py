"""Throttle IP addresses from which too many openings or events fail verification, and log each failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from flask import g
from pydantic import SecretStr
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import Limited, PortalMoved
from dashboard.launch.events import EventRefused
from dashboard.models import Portal
from dashboard.portals.installations import DENIALS
from dashboard.portals.throttle import Limit, TooManyAttempts
from dashboard.web.http.client_address import visitor_address, warn_of_untrusted_proxy
from dashboard.web.http.context import services

log = structlog.get_logger()

# Failed openings of a known portal without its APPLICATION_TOKEN, for each IP address and portal. A browser that
# reloads old pages stays far below; somebody who tries tokens gets ten a minute.
KNOWN_PORTAL_LIMIT = Limit(depth=50, seconds=6)
# Failures for unknown portals, for each IP address. It is higher, so that a new portal behind that address can install.
UNKNOWN_PORTAL_LIMIT = Limit(depth=300, seconds=1)
# Failed openings that carry the portal's APPLICATION_TOKEN. Above this limit they are not refused, but verified
# at the authorization server before the portal, so that they do not use up the portal's request limit.
KNOWN_TOKEN_LIMIT = Limit(depth=20, seconds=6)


@dataclass(frozen=True)
class OpeningAttempt:
    """An opening that may be verified now, and what its failure counts for."""

    subject: str
    limit: Limit
    group: str  # of the process's throttle
    has_failures: bool
    may_ask_portal: bool  # before the authorization server

    @contextmanager
    def verification(self) -> Iterator[None]:
        """Verify the opening inside this block, which counts a failure."""
        throttle = services().throttle
        try:
            yield
        except DENIALS as error:
            throttle.record_failure(self.subject, self.limit)
            _log_failure("verification_failed", reason=error.code, portal=g.get("portal"))
            raise
        except Limited:
            services().opening_throttle.enforce(self.group)
            raise
        except PortalMoved as error:
            # This is not counted: we did not ask the new address, so the opening may be genuine.
            _log_failure("redirect_refused", reason=error.code, portal=g.get("portal"))
            raise
        if self.has_failures:
            throttle.credit(self.subject, self.limit)
        warn_of_untrusted_proxy(verified=True)


def throttle_opening(
    session: Session, portal: Portal | None, access_token: SecretStr, *, has_application_token: bool
) -> OpeningAttempt:
    """Return the attempt to verify an opening.

    ``has_application_token`` says that the opening carries the known portal's ``APPLICATION_TOKEN``. Such an
    opening is always verified, so that others behind the same IP address cannot lock the portal's people out.

    :raise TooManyAttempts: too many openings from this IP address failed; or the portal's request limit was reached
        lately, and too many openings carried this access token. Bitrix24 is not asked.
    """
    throttle, group = services().throttle, portal.member_id if portal else ""
    with _logging_limits():
        services().opening_throttle.take(throttle.hash_subject(access_token.get_secret_value()), group=group)
    # By IP address and claimed portal, so that failures for one portal do not block another.
    if portal is None:
        subject, limit = f"opening {_address_group()}", UNKNOWN_PORTAL_LIMIT
    elif has_application_token:
        subject, limit = f"opening-by-token {portal.member_id}", KNOWN_TOKEN_LIMIT
    else:
        subject, limit = f"opening {_address_group()} {portal.member_id}", KNOWN_PORTAL_LIMIT
    try:
        has_failures, may_ask_portal = _check(subject, limit, session), has_application_token
    except TooManyAttempts:
        if not has_application_token:
            raise
        has_failures, may_ask_portal = True, False
    return OpeningAttempt(subject, limit, group, has_failures, may_ask_portal)


@contextmanager
def throttle_event() -> Iterator[Callable[[Portal | None], None]]:
    """Handle an event inside this block; yield a function to call before Bitrix24 is asked about the event.

    All portals share the servers that send events. An event with the portal's token is never throttled. The
    others are counted by IP address and portal, so that forged events do not delay those of another portal.
    """
    attempts: list[tuple[str, Limit]] = []

    def throttle_verification(portal: Portal | None) -> None:
        subject = f"event {_address_group()} {portal.member_id if portal else ''}"
        limit = KNOWN_PORTAL_LIMIT if portal else UNKNOWN_PORTAL_LIMIT
        _check(subject, limit)
        attempts.append((subject, limit))

    try:
        yield throttle_verification
    except EventRefused as error:
        for subject, limit in attempts:
            services().throttle.record_failure(subject, limit)
        _log_failure("event_refused", reason=error.reason, portal=error.portal, name=error.event)
        raise


def hashed_address() -> str:
    """Return a keyed hash of the IP address that the request came from."""
    return services().throttle.hash_subject(visitor_address())[:16]


def _address_group() -> str:
    return services().throttle.group_of(visitor_address())


def _check(subject: str, limit: Limit, session: Session | None = None) -> bool:
    """Tell whether any failures are recorded.

    :raise TooManyAttempts: the limit is reached.
    """
    with _logging_limits():
        return services().throttle.check(subject, limit, session)


@contextmanager
def _logging_limits() -> Iterator[None]:
    try:
        yield
    except TooManyAttempts as error:
        _log_failure(error.code, retry_after=error.retry_after_seconds, portal=g.get("portal"))
        raise


def _log_failure(log_event: str, *, portal: Portal | None, **fields: str | int) -> None:
    log.warning(log_event, portal=portal.id if portal else None, address=hashed_address(), **fields)
