"""Ask Bitrix24 who a user is and whether they are an administrator, with the user's own token."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

import structlog

from dashboard.bitrix24 import departments
from dashboard.bitrix24.client import Client, Command
from dashboard.bitrix24.departments import LedDepartments
from dashboard.bitrix24.errors import (
    Bitrix24Error,
    CredentialsRefused,
    OwnLimit,
    ScopeMissing,
    TokenRejected,
    Unreachable,
)
from dashboard.bitrix24.schemas import Profile, parse_profile
from dashboard.core.stored_times import is_recent
from dashboard.core.waiting_threads import WaitQuota
from dashboard.models import Person, Portal
from dashboard.people import access
from dashboard.people.accounts import Accounts
from dashboard.portals.call_log import CallLog
from dashboard.portals.installations import DENIALS
from dashboard.portals.throttle import Limit, Throttle
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

# How old a confirmation may be for the team's and the administrators' pages.
CONFIRMATION_LIFETIME = timedelta(minutes=3)
# Maximum age while Bitrix24 is unreachable.
MAX_UNCONFIRMED_AGE = timedelta(minutes=15)
# For pages. All processes together ask once in ten seconds per person, however many pages are requested.
PAGE_CONFIRMATION_LIMIT = Limit(depth=1, seconds=10)
MAX_CONFIRMATION_WAIT_SECONDS = 3.0  # how long a page waits for another request's confirmation
POLL_SECONDS = 0.1
# For exports and deletions, which always ask. Nobody starts this many by hand.
FORCED_CONFIRMATION_LIMIT = Limit(depth=20, seconds=3)


@dataclass(frozen=True, kw_only=True)
class PermissionChecks:
    """Confirm users' permissions: now, or within the last minutes."""

    token_refresher: TokenRefresher
    accounts: Accounts
    call_log: CallLog
    throttle: Throttle
    waiting: WaitQuota
    now: Callable[[], datetime]

    def confirm(self, portal: Portal, person: Person) -> None:
        """Ask Bitrix24 now, store the answer and set it on ``person``.

        :raise OwnLimit: the user has asked for this too often.
        :raise VerificationFailed: the user no longer has access; the other exceptions in ``DENIALS`` mean the same.
        :raise Bitrix24Error: Bitrix24 could not be asked.
        """
        subject = f"forced confirmations {portal.member_id} {person.user_id}"
        self.throttle.take(subject, FORCED_CONFIRMATION_LIMIT, code="too_many_confirmations")
        self._ask_portal(portal, person)

    def ensure_recently_confirmed(self, portal: Portal, person: Person) -> None:
        """Ask Bitrix24 unless it was asked within the last minutes; if it cannot be asked, accept an older answer.

        If several requests come at once, only one asks; the rest use an older answer, or wait for the new one.

        :raise VerificationFailed: the user no longer has access; the other exceptions in ``DENIALS`` mean the same.
        :raise Bitrix24Error: Bitrix24 has been unreachable longer than MAX_UNCONFIRMED_AGE.
        """
        if self._was_confirmed(portal, person, age=CONFIRMATION_LIFETIME):
            return
        is_older_answer_valid = self._was_confirmed(portal, person, age=MAX_UNCONFIRMED_AGE)
        subject = f"page confirmations {portal.member_id} {person.user_id}"
        try:
            self.throttle.take(subject, PAGE_CONFIRMATION_LIMIT, code="not_confirmed")
        except OwnLimit:
            if is_older_answer_valid or self._wait_for_confirmation(portal, person):
                return
            kind = TokenRejected if person.confirmed_at is None else Unreachable
            raise kind("not_confirmed") from None
        try:
            self._ask_portal(portal, person)
        except DENIALS:
            raise
        except Bitrix24Error:
            if not is_older_answer_valid:
                raise

    def _was_confirmed(self, portal: Portal, person: Person, *, age: timedelta) -> bool:
        """Tell whether the person's rights are known. An opening confirms them, but no headship of a department."""
        times = [person.confirmed_at, *([person.headships_at] if access.may_be_head(portal, person) else [])]
        return all(is_recent(time, self.now(), age=age) for time in times)

    def _wait_for_confirmation(self, portal: Portal, person: Person) -> bool:
        """Wait until another request has stored the answer in the person's row; return whether it has.

        Few threads wait, so that a portal that does not answer leaves the others to other portals.
        """
        with self.waiting.try_acquire() as may_wait:
            until = time.monotonic() + (MAX_CONFIRMATION_WAIT_SECONDS if may_wait else 0.0)
            self.accounts.reload_rights(person)
            while not self._was_confirmed(portal, person, age=CONFIRMATION_LIFETIME):
                if time.monotonic() >= until:
                    return False
                time.sleep(POLL_SECONDS)
                self.accounts.reload_rights(person)
        return True

    def _ask_portal(self, portal: Portal, person: Person) -> None:
        asked_at = self.now()
        with self.call_log.collect(portal) as calls:
            try:
                profile_and_departments = partial(_profile_and_led_departments, user_id=person.user_id)
                fetch = profile_and_departments if access.may_be_head(portal, person) else _profile_alone
                profile, led = self.token_refresher.call_with_token(portal, person, fetch, record_call=calls.add)
                if person.user_id != profile.ID:
                    # Unlike in `Snapshots.fetch` this is a denial, because the answer decides about access.
                    raise CredentialsRefused("foreign_profile")
            except DENIALS as denial:
                log.info("permission_denied", portal=portal.id, person=person.id, code=denial.code)
                self.accounts.revoke_access(person, denial, asked_at=asked_at)
                raise
        self.accounts.save_confirmation(person, admin=profile.ADMIN, asked_at=asked_at, led=led)


_Rights: TypeAlias = tuple[Profile, LedDepartments | None]  # None: it does not matter whether the user heads any


def _profile_alone(client: Client, token: str) -> _Rights:
    return parse_profile(client.call("profile", token=token, read_only=True)), None


def _profile_and_led_departments(client: Client, token: str, *, user_id: int) -> _Rights:
    commands = {"profile": Command("profile"), "led": departments.led_departments(user_id)}
    batch = client.batch(commands, token=token, read_only=True)
    profile = parse_profile(batch["profile"])
    try:
        return profile, departments.parse_led_departments(batch, "led", user_id)
    except ScopeMissing:
        return profile, LedDepartments(
            frozenset(), is_complete=True
        )  # without the permission, nobody sees the team as a head
