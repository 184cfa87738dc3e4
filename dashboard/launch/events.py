"""Verify the events of a portal by its ``application_token``, and act on them idempotently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import SecretStr
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Command
from dashboard.bitrix24.errors import (
    CredentialsRefused,
    Limited,
    NotAnswered,
    PersonRefused,
    PortalRefused,
    TokenRejected,
)
from dashboard.bitrix24.inbound import Event
from dashboard.bitrix24.schemas import AppInfo, parse_as, parse_profile
from dashboard.core.database import Database
from dashboard.models import Portal, PortalState
from dashboard.portals.call_log import CallLog, CallRecords
from dashboard.portals.installations import Installations, VerificationFailed, VerifiedPortal
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

UNINSTALL = "ONAPPUNINSTALL"
TOKEN_EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE")
MAX_SENDER_CLOCK_SKEW = 300  # seconds by which the time of an event may be ahead of our clock
_COMMANDS = {"app": Command("app.info"), "profile": Command("profile")}

# Called before Bitrix24 is asked about an event of this portal; raises if that has happened too often.
ThrottleVerification = Callable[[Portal | None], None]


class EventRefused(Exception):
    """An event that could not be verified: why, and its portal if that is stored."""

    def __init__(self, reason: str, event: Event, portal: Portal | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.event = event.name
        self.portal = portal


class UninstallationUnconfirmed(Exception):
    """The authorization server does not know yet of an uninstallation whose time contradicts our clock."""


@dataclass(frozen=True, kw_only=True)
class EventHandler:
    """Act on the events of all portals."""

    database: Database
    installations: Installations
    token_refresher: TokenRefresher
    call_log: CallLog
    now: Callable[[], datetime]

    def handle(self, event: Event, *, throttle_verification: ThrottleVerification = lambda portal: None) -> None:
        """Act on an event; a repeated or delayed one changes nothing more.

        :raise EventRefused: it could not be verified.
        :raise Bitrix24Error: Bitrix24 could not be asked now, about a new ``application_token`` or a removal.
        :raise UninstallationUnconfirmed: ask again later.
        """
        portal = self.installations.find(event.member_id)
        is_verified = self._has_application_token(event, portal)
        with self.call_log.collect(portal, verified=is_verified) as calls:
            if event.name in TOKEN_EVENTS and not is_verified:
                throttle_verification(portal)
                self._save_application_token(event, portal, calls)
            elif portal is None:
                raise EventRefused("unknown_portal", event, None)
            elif is_verified:
                self._handle_verified(event, portal, calls)
            else:
                self._handle_unverified(event, portal, calls, throttle_verification)

    def is_verified(self, event: Event) -> bool:
        """Tell whether the event carries the token of the portal it names."""
        return self._has_application_token(event, self.installations.find(event.member_id))

    def _has_application_token(self, event: Event, portal: Portal | None) -> bool:
        token = event.application_token
        return portal is not None and token is not None and self.installations.matches_application_token(portal, token)

    def _handle_verified(self, event: Event, portal: Portal, calls: CallRecords) -> None:
        if event.name == UNINSTALL and portal.state != PortalState.UNINSTALLED:
            self._confirm_if_time_contradicts(event, portal, calls)
            self.installations.uninstall(portal, clean=event.clean)
        elif event.name == "ONAPPUPDATE":
            self.installations.require_bindings_check(portal)

    def _handle_unverified(
        self, event: Event, portal: Portal, calls: CallRecords, throttle_verification: ThrottleVerification
    ) -> None:
        """Refuse an event, unless it is a true uninstallation of a portal without a stored token.

        If no administrator has opened the app yet, no token is stored. Then the authorization server decides: it
        is asked with the most trusted person's token pair.
        """
        if event.name == "ONAPPPAYMENT" and event.application_token is None:
            # Bitrix24 sends this one without a token. The next call to the portal shows whether it is paid.
            return
        must_have_token = portal.application_token is not None or portal.state == PortalState.UNINSTALLED
        if event.name != UNINSTALL or must_have_token:
            raise EventRefused("wrong_token", event, portal)
        throttle_verification(portal)
        try:
            is_confirmed = self.token_refresher.confirm_uninstalled(portal, record_call=calls.add)
        except (NotAnswered, Limited):
            is_confirmed = False  # anyone can send such an event, so it is not kept until the server answers
        if not is_confirmed:
            raise EventRefused("portal_has_no_token", event, portal)
        self.installations.uninstall(portal, clean=event.clean)

    def _confirm_if_time_contradicts(self, event: Event, portal: Portal, calls: CallRecords) -> None:
        """Ask the authorization server whether the app was removed, if the event's time contradicts ours.

        If it was sent before the installation was last verified, it is about an earlier installation, or one of
        the two clocks is wrong. Bitrix24 sends the event before it tells its authorization server (real portals
        send it while the application is still registered), so a denial counts only after a while.

        :raise UninstallationUnconfirmed: the server says that the application is installed.
        """
        if event.sent_at is None:
            return
        verified_at, now = int(portal.proven_at.timestamp()), self.now().timestamp()
        if verified_at <= event.sent_at <= now + MAX_SENDER_CLOCK_SKEW:
            return
        if not self.token_refresher.confirm_uninstalled(portal, record_call=calls.add):
            raise UninstallationUnconfirmed

    def _save_application_token(self, event: Event, portal: Portal | None, calls: CallRecords) -> None:
        """Store the ``application_token`` of an event whose access token belongs to an administrator.

        Nobody else may set it, because whoever knows it can uninstall the portal.
        """
        if event.application_token is None or event.access_token is None:
            raise EventRefused("event_has_no_token", event, portal)
        try:
            verified = self._verify_administrator(event, event.access_token, portal, calls)

            def save(session: Session) -> None:
                saved = self.installations.save_verified(
                    session, verified, stored_portal=portal, application_token=event.application_token
                )
                calls.write(session, portal=saved)

            self.database.write(save)
        except (VerificationFailed, TokenRejected, CredentialsRefused, PersonRefused, PortalRefused) as refusal:
            raise EventRefused(refusal.code, event, portal) from None

    def _verify_administrator(
        self, event: Event, token: SecretStr, portal: Portal | None, calls: CallRecords
    ) -> VerifiedPortal:
        server = event.server_endpoint or (portal.authorization_server if portal else None)
        address = self.installations.verify_token(event.member_id, token, server=server, record_call=calls.add)
        client = self.installations.client(address.origin, record_call=calls.add)
        batch = client.batch(_COMMANDS, token=token.get_secret_value(), read_only=True)
        if not parse_profile(batch["profile"]).ADMIN:
            raise VerificationFailed("not_an_administrator")
        return VerifiedPortal(event.member_id, address, parse_as(AppInfo, batch["app"]))
