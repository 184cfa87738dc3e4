"""Throttle IP addresses from which too many openings or events fail verification, and log each failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from flask import g
from pydantic import SecretStr

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


@contextmanager
def throttle_opening(portal: Portal | None, access_token: SecretStr, *, has_application_token: bool) -> Iterator[bool]:
    """Verify an opening inside this block; yield whether the portal may be asked before the authorization server.

    ``has_application_token`` says that the opening carries the known portal's ``APPLICATION_TOKEN``. Such an
    opening is always verified, so that others behind the same IP address cannot lock the portal's people out.

    :raise TooManyAttempts: too many openings from this IP address failed; or the portal's request limit was reached
        lately, and too many openings carried this access token. Bitrix24 is not asked.
    """
    throttle, opening_throttle = services().throttle, services().opening_throttle
    group = portal.member_id if portal else ""
    with _logging_limits():
        opening_throttle.take(throttle.hash_subject(access_token.get_secret_value()), group=group)
    # By IP address and claimed portal, so that failures for one portal do not block another.
    if portal is None:
        subject, limit = f"opening {_address_group()}", UNKNOWN_PORTAL_LIMIT
    elif has_application_token:
        subject, limit = f"opening-by-token {portal.member_id}", KNOWN_TOKEN_LIMIT
    else:
        subject, limit = f"opening {_address_group()} {portal.member_id}", KNOWN_PORTAL_LIMIT
    try:
        has_failures, may_ask_portal = _check(subject, limit), has_application_token
    except TooManyAttempts:
        if not has_application_token:
            raise
        has_failures, may_ask_portal = True, False
    try:
        yield may_ask_portal
    except DENIALS as error:
        throttle.record_failure(subject, limit)
        _log_failure("verification_failed", reason=error.code, portal=g.get("portal"))
        raise
    except Limited:
        opening_throttle.enforce(group)
        raise
    except PortalMoved as error:
        # This is not counted: we did not ask the new address, so the opening may be genuine.
        _log_failure("redirect_refused", reason=error.code, portal=g.get("portal"))
        raise
    if has_failures:
        throttle.credit(subject, limit)
    warn_of_untrusted_proxy(verified=True)


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


def _check(subject: str, limit: Limit) -> bool:
    """Tell whether any failures are recorded.

    :raise TooManyAttempts: the limit is reached.
    """
    with _logging_limits():
        return services().throttle.check(subject, limit)


@contextmanager
def _logging_limits() -> Iterator[None]:
    try:
        yield
    except TooManyAttempts as error:
        _log_failure(error.code, retry_after=error.retry_after_seconds, portal=g.get("portal"))
        raise


def _log_failure(log_event: str, *, portal: Portal | None, **fields: str | int) -> None:
    log.warning(log_event, portal=portal.id if portal else None, address=hashed_address(), **fields)
