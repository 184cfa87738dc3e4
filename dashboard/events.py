"""What the portal's event queue tells: proven by the portal's token, harmless late, doubled or forged."""

from __future__ import annotations

from pydantic import SecretStr

from dashboard.bitrix24.answers import AppInfo, read_as, read_profile
from dashboard.bitrix24.client import Command
from dashboard.bitrix24.errors import CredentialsRefused, PersonRefused, PortalRefused, TokenRejected
from dashboard.bitrix24.inbound import Event
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.db import Database
from dashboard.models import Portal
from dashboard.portals import Portals, ProofRefused, Standing

BRINGS_TOKEN = ("ONAPPINSTALL", "ONAPPUPDATE")
_ASKED = {"app": Command("app.info"), "profile": Command("profile")}


class EventRefused(Exception):
    """An event whose ``application_token`` is not this portal's, or of a portal we do not know."""


class Events:
    """Acts on the events of all portals."""

    def __init__(self, *, database: Database, portals: Portals, servers: AuthorizationServers) -> None:
        self._database = database
        self._portals = portals
        self._servers = servers

    def handle(self, event: Event) -> None:
        """Act on an event; doing it twice or late changes nothing more.

        :raise EventRefused: it is not proven.
        :raise Bitrix24Error: a new ``application_token`` could not be proven now.
        """
        portal, token = self._portals.known(event.member_id), event.application_token
        proven = portal is not None and token is not None and self._portals.has_token(portal, token)
        if event.name in BRINGS_TOKEN and not proven:
            self._learn_token(event, portal)
        elif portal is None or not (proven or _is_hint(event)):
            raise EventRefused
        elif event.name == "ONAPPUNINSTALL" and not _is_late(event, portal):
            self._portals.uninstall(portal)

    def _learn_token(self, event: Event, portal: Portal | None) -> None:
        """Store the ``application_token`` of an event whose access token proves an administrator.

        Nobody else may set it: whoever knows it can uninstall the portal.
        """
        if event.application_token is None or event.access_token is None:
            raise EventRefused
        try:
            standing = self._prove(event, event.access_token, portal)
            with self._database.writing() as session:
                self._portals.settle(
                    session, standing, before=portal, application_token=event.application_token
                )
        except (ProofRefused, TokenRejected, CredentialsRefused, PersonRefused, PortalRefused):
            raise EventRefused from None

    def _prove(self, event: Event, access_token: SecretStr, portal: Portal | None) -> Standing:
        stored = portal.authorization_server if portal else None
        server = self._servers.choose(event.server_endpoint or stored)
        proof = self._portals.prove(event.member_id, access_token, server=server)
        batch = self._portals.client(proof.origin).batch(_ASKED, token=access_token.get_secret_value())
        if not read_profile(batch["profile"]).ADMIN:
            raise ProofRefused("not_an_administrator")
        return Standing(
            member_id=event.member_id,
            address=(proof.origin, server),
            app=read_as(AppInfo, batch["app"]),
        )


def _is_hint(event: Event) -> bool:
    """Tell whether this is the event that Bitrix24 sends without a token.

    Anyone could send it, so it changes nothing: the next call to the portal tells whether it is paid.
    """
    return event.name == "ONAPPPAYMENT" and event.application_token is None


def _is_late(event: Event, portal: Portal) -> bool:
    """Tell whether the event (``ts``, Unix seconds) is older than the last proof that we are installed.

    After an uninstallation nothing can be proven any more, until the application is installed again.
    """
    return event.sent_at is not None and event.sent_at < int(portal.proven_at.timestamp())
