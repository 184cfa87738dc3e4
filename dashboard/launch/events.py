"""What the portal's event queue tells: proven by the portal's token, harmless late, doubled or forged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from pydantic import SecretStr
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Command
from dashboard.bitrix24.errors import (
    CredentialsRefused,
    PersonRefused,
    PortalRefused,
    TokenRejected,
)
from dashboard.bitrix24.inbound import Event
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import AppInfo, parse_as, parse_profile
from dashboard.core.database import Database
from dashboard.models import Portal, PortalState
from dashboard.portals.call_log import CallLog, CallRecords
from dashboard.portals.installations import Installations, VerificationFailed, VerifiedPortal
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

TOKEN_EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE")
MAX_CLOCK_DIFFERENCE = 300  # seconds by which an event may come from the future
_PROOF_COMMANDS = {"app": Command("app.info"), "profile": Command("profile")}

# Called before Bitrix24 is asked about an event of this portal; it may raise.
BeforeVerification = Callable[[Portal | None], None]


class EventRefused(Exception):
    """An event that is not proven: why, and of which portal where we know it."""

    def __init__(self, reason: str, *, event: Event, portal: Portal | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.event = event.name
        self.portal = portal


class EventHandler:
    """Acts on the events of all portals."""

    def __init__(
        self,
        *,
        database: Database,
        installations: Installations,
        servers: AuthorizationServers,
        token_refresher: TokenRefresher,
        call_log: CallLog,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._installations = installations
        self._servers = servers
        self._token_refresher = token_refresher
        self._call_log = call_log
        self._now = now

    def handle(self, event: Event, *, before_asking: BeforeVerification = lambda portal: None) -> None:
        """Act on an event; doing it twice or late changes nothing more.

        :raise EventRefused: it is not proven.
        :raise Bitrix24Error: a new ``application_token`` could not be proven now.
        """
        portal = self._installations.find(event.member_id)
        proven = self._has_token(event, portal)
        with self._call_log.unit(portal, proven=proven) as calls:
            self._act(event, portal, calls, proven=proven, before_asking=before_asking)

    def is_proven(self, event: Event) -> bool:
        """Tell whether the event carries the token of the portal it names."""
        return self._has_token(event, self._installations.find(event.member_id))

    def _has_token(self, event: Event, portal: Portal | None) -> bool:
        token = event.application_token
        return portal is not None and token is not None and self._installations.has_token(portal, token)

    def _act(
        self,
        event: Event,
        portal: Portal | None,
        calls: CallRecords,
        *,
        proven: bool,
        before_asking: BeforeVerification,
    ) -> None:
        if event.name in TOKEN_EVENTS and not proven:
            before_asking(portal)
            self._learn_token(event, portal, calls)
        elif portal is None:
            raise EventRefused("unknown_portal", event=event, portal=None)
        elif not (proven or _is_hint(event)):
            self._act_unproven(event, portal, calls, before_asking)
        elif event.name == "ONAPPUNINSTALL" and self._is_meant(event, portal, calls):
            self._installations.uninstall(portal, clean=event.data.get("CLEAN") == "1")
        elif event.name == "ONAPPUPDATE":
            self._installations.require_bindings_check(portal)

    def _act_unproven(
        self, event: Event, portal: Portal, calls: CallRecords, before_asking: BeforeVerification
    ) -> None:
        """Refuse an event, unless it is an uninstallation that nothing we have could prove and that is true.

        A portal that only ordinary people have opened has no token to compare with. Then the authorization
        server is asked about the newest chain, and nothing but its word deletes anything.
        """
        can_be_proven = portal.application_token is not None or portal.state == PortalState.UNINSTALLED
        if event.name != "ONAPPUNINSTALL" or can_be_proven:
            raise EventRefused("wrong_token", event=event, portal=portal)
        before_asking(portal)
        if not self._token_refresher.application_is_gone(portal, record=calls.add):
            raise EventRefused("no_token_known", event=event, portal=portal)
        self._installations.uninstall(portal, clean=event.data.get("CLEAN") == "1")

    def _is_meant(self, event: Event, portal: Portal, calls: CallRecords) -> bool:
        """Tell whether a proven uninstallation (``ts``, Unix seconds) is of the present installation.

        One that is older than the last proof that we are installed is not; after an uninstallation nothing
        can be proven any more. Bitrix24's clock told one moment and ours the other, so nothing is concluded
        from a time that contradicts ours: the authorization server is asked, and its word decides.
        """
        if event.sent_at is None:
            return True
        proven, now = portal.proven_at.timestamp(), self._now().timestamp()
        if int(proven) <= event.sent_at <= now + MAX_CLOCK_DIFFERENCE:
            return True
        return self._token_refresher.application_is_gone(portal, record=calls.add)

    def _learn_token(self, event: Event, portal: Portal | None, calls: CallRecords) -> None:
        """Store the ``application_token`` of an event whose access token proves an administrator.

        Nobody else may set it: whoever knows it can uninstall the portal.
        """
        if event.application_token is None or event.access_token is None:
            raise EventRefused("no_token", event=event, portal=portal)
        try:
            verified = self._prove(event, event.access_token, portal, calls)

            def store(session: Session) -> None:
                settled = self._installations.save_verified(
                    session, verified, before=portal, application_token=event.application_token
                )
                calls.write(session, portal=settled)

            self._database.write(store)
        except (
            VerificationFailed,
            TokenRejected,
            CredentialsRefused,
            PersonRefused,
            PortalRefused,
        ) as refusal:
            raise EventRefused(refusal.code, event=event, portal=portal) from None

    def _prove(
        self, event: Event, access_token: SecretStr, portal: Portal | None, calls: CallRecords
    ) -> VerifiedPortal:
        stored = portal.authorization_server if portal else None
        server = self._servers.choose(event.server_endpoint or stored)
        proof = self._installations.verify_token(event.member_id, access_token, server=server, record=calls.add)
        client = self._installations.client(proof.origin, record=calls.add)
        batch = client.batch(_PROOF_COMMANDS, token=access_token.get_secret_value(), read_only=True)
        if not parse_profile(batch["profile"]).ADMIN:
            raise VerificationFailed("not_an_administrator")
        return VerifiedPortal(
            member_id=event.member_id,
            address=(proof.origin, server),
            app=parse_as(AppInfo, batch["app"]),
        )


def _is_hint(event: Event) -> bool:
    """Tell whether this is the event that Bitrix24 sends without a token.

    Anyone could send it, so it changes nothing: the next call to the portal tells whether it is paid.
    """
    return event.name == "ONAPPPAYMENT" and event.application_token is None
