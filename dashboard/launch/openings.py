"""Install and open the application: verify the posted token, fetch the settings, save both, bind what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeGuard

import structlog
from pydantic import SecretStr
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Command
from dashboard.bitrix24.errors import Bitrix24Error, NotAnswered, PortalMoved, TokenRejected
from dashboard.bitrix24.inbound import OpeningRequest
from dashboard.bitrix24.schemas import Profile
from dashboard.calendar.parser import CalendarSettings, SettingsResponse
from dashboard.core.database import Database
from dashboard.models import Person, Portal, PortalState
from dashboard.people import departments, history
from dashboard.people.accounts import Accounts
from dashboard.people.history import Changes
from dashboard.people.snapshot_store import save_snapshot
from dashboard.people.snapshots import SnapshotReply, fetch_snapshot
from dashboard.portals.bindings import CHECK_COMMANDS, Bindings, scopes_in
from dashboard.portals.call_log import CallLog, CallRecords
from dashboard.portals.installations import Installations, PortalAddress, VerificationFailed, VerifiedPortal
from dashboard.portals.portal_lock import ExclusiveLockNeeded, lock_portal
from dashboard.portals.throttle import Limit
from dashboard.sync.runs import Runs

log = structlog.get_logger()

# Openings with one access token, in each process, after the portal's request limit was reached. All its people share
# that limit, and a script that reloads the page would use it up. Nobody reloads this fast by hand.
OPENING_LIMIT = Limit(depth=10, seconds=6)

Commands = Mapping[str, Command]


@dataclass(frozen=True)
class OpeningResult:
    """A verified opening, as saved."""

    portal: Portal
    person: Person
    settings: CalendarSettings
    changes: Changes  # the latest of the person's settings
    is_first: bool  # this person has never seen a page of the application


@dataclass(frozen=True)
class InstallationResult:
    """A verified installation, as saved; ``refused_bindings`` maps what the portal refused to its error code."""

    portal: Portal
    refused_bindings: Mapping[str, str]


@dataclass(frozen=True)
class _VerifiedOpening:
    """An opening whose token is verified, and what the portal returned for that token."""

    request: OpeningRequest
    stored_portal: Portal | None  # as it was when the request came in
    address: PortalAddress | None  # None: the stored one
    reply: SnapshotReply


@dataclass(frozen=True)
class _ParsedOpening:
    """What is stored of a verified opening."""

    request: OpeningRequest
    stored_portal: Portal | None  # as it was when the request came in
    portal: VerifiedPortal
    profile: Profile
    response: SettingsResponse
    scopes: list[str] | None  # None: the portal was not asked
    application_token: SecretStr | None


@dataclass(frozen=True, kw_only=True)
class OpeningService:
    """Handle installations and openings. Nothing in the form is trusted before its token is verified."""

    database: Database
    installations: Installations
    accounts: Accounts
    bindings: Bindings
    runs: Runs
    call_log: CallLog
    now: Callable[[], datetime]

    def install(self, request: OpeningRequest, stored_portal: Portal | None) -> InstallationResult:
        """Verify and save an installation by an administrator, and bind what is missing in the portal.

        :raise VerificationFailed: the token belongs elsewhere, or its user is not an administrator.
        :raise Bitrix24Error: Bitrix24 refused or did not answer.
        """
        with self.call_log.collect(stored_portal, verified=False) as calls:
            verified = self._verify_with_authorization_server(request, stored_portal, CHECK_COMMANDS, calls)
            reply = verified.reply
            if not reply.profile.ADMIN:
                raise VerificationFailed("not_an_administrator")
            result = self._save_opening(verified, calls, is_installation=True)
            refused_bindings = self.bindings.bind_missing(
                result.portal, reply.client, reply.batch, token=request.access_token
            )
        log.info("portal_installed", portal=result.portal.id, generation=result.portal.generation)
        return InstallationResult(result.portal, refused_bindings)

    def open(self, request: OpeningRequest, stored_portal: Portal | None, *, may_ask_portal: bool) -> OpeningResult:
        """Verify who opens the application and save their settings, with one request if the portal is known.

        Without ``may_ask_portal`` the authorization server is asked first, so that forged openings do not use up the
        portal's rate limit.

        :raise VerificationFailed: the token belongs to another portal or application than the form says.
        :raise Bitrix24Error: Bitrix24 refused or did not answer.
        """
        with self.call_log.collect(stored_portal, verified=False) as calls:
            commands = self.bindings.commands_for(stored_portal)
            if may_ask_portal and _can_verify(stored_portal):
                verified = self._verify_with_portal(request, stored_portal, commands, calls)
            else:
                verified = self._verify_with_authorization_server(request, stored_portal, commands, calls)
            result = self._save_opening(verified, calls)
            if result.person.is_admin:
                reply = verified.reply
                self.bindings.restore(result.portal, reply.client, reply.batch, token=request.access_token)
        return result

    def _verify_with_portal(
        self, request: OpeningRequest, portal: Portal, commands: Commands, calls: CallRecords
    ) -> _VerifiedOpening:
        """Verify the token at the portal's stored address, or at another one if the portal has moved.

        A token that the stored address accepts belongs to the user it names, if the address also returns the
        application code that the portal had at its installation.
        """
        refusal: Bitrix24Error | None = None
        try:
            reply = self._fetch_snapshot(request, portal.origin, commands, calls)
            if portal.app_code == reply.app.CODE:
                return _VerifiedOpening(request, portal, None, reply)
        except Bitrix24Error as error:
            if not _may_have_moved(error, request, portal):
                raise
            refusal = error
        return self._verify_with_authorization_server(request, portal, commands, calls, refusal=refusal)

    def _verify_with_authorization_server(
        self,
        request: OpeningRequest,
        stored_portal: Portal | None,
        commands: Commands,
        calls: CallRecords,
        *,
        refusal: Bitrix24Error | None = None,
    ) -> _VerifiedOpening:
        """Ask the authorization server which portal the token belongs to, then fetch the snapshot there.

        ``refusal`` is the stored address's error, raised again if the portal has not moved.
        """
        stored_server = stored_portal.authorization_server if stored_portal else None
        address = self.installations.verify_token(
            request.member_id,
            request.access_token,
            server=request.server_endpoint or stored_server,
            record_call=calls.add,
        )
        if refusal is not None and stored_portal is not None and address.origin == stored_portal.origin:
            raise refusal
        reply = self._fetch_snapshot(request, address.origin, commands, calls)
        return _VerifiedOpening(request, stored_portal, address, reply)

    def _fetch_snapshot(
        self, request: OpeningRequest, origin: str, commands: Commands, calls: CallRecords
    ) -> SnapshotReply:
        client = self.installations.client(origin, record_call=calls.add)
        return fetch_snapshot(client, request.access_token.get_secret_value(), now=self.now, extra_commands=commands)

    def _save_opening(
        self, verified: _VerifiedOpening, calls: CallRecords, *, is_installation: bool = False
    ) -> OpeningResult:
        """Save the portal, the person, their tokens and their snapshot in one short transaction.

        An installation is written durably. An opening need not be: after a power cut the previous token pair
        is still valid, and the next opening brings another one.
        """
        # Parse before the transaction, which holds SQLite's write lock.
        opening = _parse(verified, is_installation=is_installation)
        unchanged_portal = verified.stored_portal if self._is_portal_unchanged(opening) else None
        save = partial(self._save, opening=opening, calls=calls)
        try:
            return self.database.write(partial(save, unchanged_portal=unchanged_portal), durable=is_installation)
        except ExclusiveLockNeeded:
            return self.database.write(partial(save, unchanged_portal=None), durable=is_installation)

    def _is_portal_unchanged(self, opening: _ParsedOpening) -> bool:
        """Tell whether the opening changes nothing in the portal's row, as far as the portal alone shows."""
        portal = opening.stored_portal
        return (
            portal is not None
            and portal.next_run_at is not None
            and opening.scopes in (None, portal.scopes)
            and self.installations.is_unchanged(portal, opening.portal, application_token=opening.application_token)
        )

    def _save(
        self, session: Session, opening: _ParsedOpening, calls: CallRecords, *, unchanged_portal: Portal | None
    ) -> OpeningResult:
        """Save an opening.

        :param unchanged_portal: whose row need not change; None if it may have to.
        :raise ExclusiveLockNeeded: the person's data changes that row.
        """
        with session.no_autoflush:  # write each row once, at the end
            portal = unchanged_portal
            if portal is None or not lock_portal(session, portal, shared=True):
                portal = self.installations.save_verified(
                    session,
                    opening.portal,
                    stored_portal=opening.stored_portal,
                    application_token=opening.application_token,
                )
            person, previously_opened_at = self.accounts.upsert_from_opening(
                session,
                portal,
                opening.profile,
                opening.request,
                taken_at=opening.response.taken_at,
                is_employee=opening.response.proves_employee,
                is_guest=opening.response.proves_guest,
            )
            never_opened = previously_opened_at is None
            if opening.portal.is_installation and never_opened:
                # The installer shows no settings: the next opening is this person's first.
                person.opened_at = portal.installed_at
            had_departments = departments.may_be_read(portal)
            if opening.scopes is not None:
                portal.scopes = opening.scopes
            if portal.next_run_at is None or (not had_departments and departments.may_be_read(portal)):
                # The first run reads the list of users and plans the portal's daily runs. A new permission shows the
                # departments now instead of tomorrow.
                self.runs.ensure(session, portal, by=None)
            settings = save_snapshot(session, portal, person, opening.response)
            session.flush()
            changes = history.list_changes(session, person, limit=history.MAX_LATEST_CHANGES)
            # Last, because every opening of the portal changes its rate limit.
            calls.write(session, portal=portal)
        only_installed = previously_opened_at == portal.installed_at
        is_first = not opening.portal.is_installation and (never_opened or only_installed)
        return OpeningResult(portal, person, settings, changes, is_first=is_first)


def _parse(verified: _VerifiedOpening, *, is_installation: bool) -> _ParsedOpening:
    request, reply = verified.request, verified.reply
    profile = reply.profile
    return _ParsedOpening(
        request=request,
        stored_portal=verified.stored_portal,
        portal=VerifiedPortal(request.member_id, verified.address, reply.app, is_installation=is_installation),
        profile=profile,
        response=reply.response,
        scopes=scopes_in(reply.batch),
        # Whoever knows this token can forge an uninstallation, and visitors control the form: take it from
        # administrators only.
        application_token=request.application_token if profile.ADMIN else None,
    )


def _can_verify(portal: Portal | None) -> TypeGuard[Portal]:
    """Tell whether an answer from the portal's stored address is enough to verify an opening."""
    return portal is not None and portal.state != PortalState.UNINSTALLED and bool(portal.app_code)


def _may_have_moved(error: Bitrix24Error, request: OpeningRequest, portal: Portal) -> bool:
    """Tell whether a move of the portal could explain the error: a redirect, no answer, an unknown token."""
    if isinstance(error, PortalMoved):
        return True
    if isinstance(error, TokenRejected):
        return error.code.lower() != "expired_token"
    return isinstance(error, NotAnswered) and not portal.origin.endswith(f"//{request.domain}")
