"""The two doors of the frame: the installer page and the application's page, proven and stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeGuard

import structlog
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Batch
from dashboard.bitrix24.errors import Bitrix24Error, NotAnswered, PortalMoved, TokenRejected
from dashboard.bitrix24.inbound import OpeningRequest
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import AppInfo, OAuthAppInfo, parse_as, parse_profile
from dashboard.calendar.parser import CalendarSettings
from dashboard.core.database import Database
from dashboard.core.stored_times import is_ahead
from dashboard.models import Person, Portal, PortalState
from dashboard.people import snapshots
from dashboard.people.accounts import Accounts
from dashboard.portals import bindings
from dashboard.portals.call_log import CallLog, CallRecords
from dashboard.portals.installations import Installations, VerificationFailed, VerifiedPortal
from dashboard.sync.runs import Runs

log = structlog.get_logger()

# So often an open looks whether events and placements are still bound; an update takes them away.
BINDINGS_CHECK_INTERVAL = timedelta(days=1)


@dataclass(frozen=True)
class OpeningResult:
    """A proven opening, stored: who it is, where, and what their calendar says."""

    portal: Portal
    person: Person
    my: CalendarSettings
    first: bool  # this person has never seen a page of ours


@dataclass(frozen=True)
class _PortalReply:
    """What a portal answered at a proven address, and the authorization server that stands for it."""

    address: tuple[str, str] | None  # None: the stored one
    batch: Batch
    installs: bool = False


@dataclass(frozen=True)
class InstallationResult:
    """A proven installation, stored; ``unbound`` names what the portal refused to bind, with its code."""

    portal: Portal
    unbound: Mapping[str, str]


class OpeningService:
    """Both doors take the same form and trust nothing in it before its token is proven."""

    def __init__(
        self,
        *,
        database: Database,
        installations: Installations,
        accounts: Accounts,
        runs: Runs,
        servers: AuthorizationServers,
        call_log: CallLog,
        public_url: str,
        titles: Mapping[str, str],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._installations = installations
        self._accounts = accounts
        self._runs = runs
        self._servers = servers
        self._call_log = call_log
        self._public_url = public_url
        self._titles = titles
        self._now = now

    def install(self, opening: OpeningRequest, before: Portal | None) -> InstallationResult:
        """Prove and store an installation by an administrator, and bind what is missing in the portal.

        :raise VerificationFailed: the token proves something else, or not an administrator.
        :raise Bitrix24Error: Bitrix24 refused or did not answer.
        """
        with self._call_log.unit(before, proven=False) as calls:
            proof, server = self._prove(opening, before, calls)
            token = opening.access_token.get_secret_value()
            client = self._installations.client(proof.origin, record=calls.add)
            present = snapshots.fetch_batch(client, token, also=bindings.CHECK_COMMANDS)
            if not parse_profile(present["profile"]).ADMIN:
                raise VerificationFailed("not_an_administrator")
            answered = _PortalReply((proof.origin, server), present, installs=True)
            opened = self._store(opening, answered, before, calls)
            unbound = self._bind(opening, opened.portal, present, calls)
        log.info("portal_installed", portal=opened.portal.id, generation=opened.portal.generation)
        return InstallationResult(opened.portal, unbound)

    def open(self, opening: OpeningRequest, before: Portal | None, *, portal_first: bool) -> OpeningResult:
        """Prove who opens the application and read their calendar: one request where the portal is known.

        ``before`` is the portal as it stood in the store when the opening came in. Without ``portal_first``
        the authorization server is asked before the portal, so that forged openings cost the portal nothing.

        :raise VerificationFailed: the token proves something else than what was posted.
        :raise Bitrix24Error: Bitrix24 refused or did not answer.
        """
        with self._call_log.unit(before, proven=False) as calls:
            if portal_first and _is_settled(before):
                answered = self._ask_known(opening, before, calls)
            else:
                answered = self._ask_proven(opening, before, calls)
            opened = self._store(opening, answered, before, calls)
            if opened.person.is_admin and bindings.CHECK_KEYS.keys() <= answered.batch.results.keys():
                self._bind_again(opening, opened.portal, answered.batch, calls)
        return opened

    def _looks_at_bindings(self, portal: Portal | None) -> bool:
        """Tell whether the same batch asks what is bound; that only an administrator is told in full."""
        if portal is None:
            return False
        looked_at, now = portal.bindings_at, self._now()
        return looked_at is None or looked_at < now - BINDINGS_CHECK_INTERVAL or is_ahead(looked_at, now)

    def _bind_again(self, opening: OpeningRequest, portal: Portal, present: Batch, calls: CallRecords) -> None:
        """Put back what is missing; the page opens whether or not that works."""
        try:
            self._bind(opening, portal, present, calls)
        except Bitrix24Error as error:
            log.warning("not_bound", portal=portal.id, codes=error.code)

    def _bind(self, opening: OpeningRequest, portal: Portal, present: Batch, calls: CallRecords) -> Mapping[str, str]:
        """Bind what is missing and note that it was looked at; return what the portal refused."""
        unbound = bindings.bind_missing(
            self._installations.client(portal.origin, record=calls.add),
            present,
            public_url=self._public_url,
            titles=self._titles,
            token=opening.access_token.get_secret_value(),
        )
        if unbound:
            log.warning("not_bound", portal=portal.id, codes=unbound)
        self._installations.save_bindings(portal, unbound=unbound)
        return unbound

    def _ask_known(self, opening: OpeningRequest, portal: Portal, calls: CallRecords) -> _PortalReply:
        """Return what the stored address answered, or another one that was proven.

        The portal's own word is enough at its stored address: a token it accepts, of the application
        it calls by the code it gave at the installation, is its own person's.
        """
        refusal: Bitrix24Error | None = None
        try:
            batch = self._ask(portal.origin, opening, portal, calls)
            if portal.app_code == _app_in(batch).CODE:
                return _PortalReply(None, batch)
        except Bitrix24Error as error:
            if not _may_have_moved(error, opening, portal):
                raise
            refusal = error
        return self._ask_proven(opening, portal, calls, refusal=refusal)

    def _ask_proven(
        self,
        opening: OpeningRequest,
        before: Portal | None,
        calls: CallRecords,
        *,
        refusal: Bitrix24Error | None = None,
    ) -> _PortalReply:
        """Ask the authorization server where the token belongs, then that address.

        The stored address that has just refused is not asked again.
        """
        proof, server = self._prove(opening, before, calls)
        if refusal is not None and before is not None and proof.origin == before.origin:
            raise refusal
        return _PortalReply((proof.origin, server), self._ask(proof.origin, opening, before, calls))

    def _prove(self, opening: OpeningRequest, before: Portal | None, calls: CallRecords) -> tuple[OAuthAppInfo, str]:
        """Return the proof and the authorization server that gave it."""
        server = self._servers.choose(opening.server_endpoint or (before.authorization_server if before else None))
        token = opening.access_token
        proof = self._installations.verify_token(opening.member_id, token, server=server, record=calls.add)
        return proof, server

    def _ask(self, origin: str, opening: OpeningRequest, portal: Portal | None, calls: CallRecords) -> Batch:
        also = bindings.CHECK_COMMANDS if self._looks_at_bindings(portal) else snapshots.NO_COMMANDS
        client = self._installations.client(origin, record=calls.add)
        return snapshots.fetch_batch(client, opening.access_token.get_secret_value(), also=also)

    def _store(
        self, opening: OpeningRequest, answered: _PortalReply, before: Portal | None, calls: CallRecords
    ) -> OpeningResult:
        """Store everything an opening told in one short transaction.

        The ``application_token`` is stored only from an administrator's opening: it opens the door to
        uninstalling, and the form it came in is the visitor's own.
        """
        profile = parse_profile(answered.batch["profile"])
        verified = VerifiedPortal(
            opening.member_id,
            address=answered.address,
            app=_app_in(answered.batch),
            is_installation=answered.installs,
        )
        reading = snapshots.parse_batch(answered.batch, taken_at=self._now())

        def store(session: Session) -> OpeningResult:
            portal = self._installations.save_verified(
                session,
                verified,
                before=before,
                application_token=opening.application_token if profile.ADMIN else None,
            )
            person, here_before = self._accounts.upsert_from_opening(
                session,
                portal,
                profile,
                language=opening.language,
                access=opening.access_token,
                refresh=opening.refresh_token,
                expires_in=opening.expires_in,
            )
            if answered.installs and here_before is None:
                # The installer shows nothing of ours: what comes next is this person's first opening.
                person.opened_at = portal.installed_at
            if (scopes := bindings.scopes_in(answered.batch)) is not None:
                portal.scopes = scopes
            calls.write(session, portal=portal)
            if portal.next_run_at is None:
                # Nobody has read the list of employees yet; from its first run on a portal has its hour.
                self._runs.ensure(session, portal, by=None)
            first = not answered.installs and here_before in (None, portal.installed_at)
            return OpeningResult(portal, person, snapshots.save_snapshot(session, person, reading), first=first)

        def store_once(session: Session) -> OpeningResult:
            with session.no_autoflush:  # each row is written once, at the end
                return store(session)

        # An installation lasts. An opening of somebody's comes again, and until then the pair before it is
        # good: each opening brings one of its own.
        return self._database.write(store_once, lasting=answered.installs)


def _app_in(batch: Batch) -> AppInfo:
    """Return what the portal calls our application; nothing where it cannot tell.

    Then its word alone proves no opening, and the authorization server is asked each time.
    """
    return parse_as(AppInfo, batch["app"]) if "app" in batch.results else AppInfo()


def _is_settled(portal: Portal | None) -> TypeGuard[Portal]:
    """Tell whether the portal's own word at its stored address proves an opening."""
    return portal is not None and portal.state != PortalState.UNINSTALLED and bool(portal.app_code)


def _may_have_moved(error: Bitrix24Error, opening: OpeningRequest, portal: Portal) -> bool:
    """Tell whether another address could explain the refusal: a redirect, silence, a stranger."""
    if isinstance(error, PortalMoved):
        return True
    if isinstance(error, TokenRejected):
        return error.code.lower() != "expired_token"
    return isinstance(error, NotAnswered) and not portal.origin.endswith(f"//{opening.domain}")
