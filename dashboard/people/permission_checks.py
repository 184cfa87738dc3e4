"""Ask Bitrix24 who a user is and whether they are an administrator, with the user's own token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import (
    ApplicationGone,
    Bitrix24Error,
    CredentialsRefused,
    GrantRejected,
    OwnLimit,
    PersonDismissed,
    PersonRefused,
    TokenRejected,
    Unreachable,
)
from dashboard.bitrix24.schemas import Profile, parse_profile
from dashboard.core.stored_times import is_ahead
from dashboard.models import Person, Portal
from dashboard.people.accounts import Accounts
from dashboard.portals.call_log import CallLog
from dashboard.portals.installations import VerificationFailed
from dashboard.portals.throttle import Limit, Throttle, TooManyFailures
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

# So long a confirmation is enough to look at the team's and the administrators' pages.
CONFIRMATION_LIFETIME = timedelta(minutes=3)
# So long they are still shown while Bitrix24 cannot be asked.
MAX_UNCONFIRMED = timedelta(minutes=15)
# One attempt a minute among all processes, however often a page is asked for and however slow the portal is.
ATTEMPTS = Limit(depth=1, seconds=60)
# What exports or deletes asks each time. Nobody does either so often by hand.
CONFIRMATION_LIMIT = Limit(depth=20, seconds=3)
# What says that the user is not let in, or that their token proves nothing any more.
DENIAL_LIMIT = (
    PersonRefused,
    TokenRejected,
    CredentialsRefused,
    GrantRejected,
    ApplicationGone,
    VerificationFailed,
)


class PermissionChecks:
    """Confirms users' permissions: at this moment, or a few minutes ago."""

    def __init__(
        self,
        *,
        token_refresher: TokenRefresher,
        accounts: Accounts,
        call_log: CallLog,
        throttle: Throttle,
        now: Callable[[], datetime],
    ) -> None:
        self._token_refresher = token_refresher
        self._accounts = accounts
        self._call_log = call_log
        self._throttle = throttle
        self._now = now

    def confirm(self, portal: Portal, person: Person) -> None:
        """Ask Bitrix24 now; store the answer and set it on ``person``.

        :raise OwnLimit: the user has asked for it too often.
        :raise VerificationFailed: the user is not let in any more; so says a denial of ``Bitrix24Error`` too.
        :raise Bitrix24Error: Bitrix24 could not be asked.
        """
        try:
            self._throttle.record_or_raise(f"confirmations {person.id}", CONFIRMATION_LIMIT)
        except TooManyFailures as full:
            until = self._now().timestamp() + full.seconds
            raise OwnLimit("too_many_confirmations", resets_at=until) from None
        self._ask_portal(portal, person)

    def confirm_lately(self, portal: Portal, person: Person) -> None:
        """Ask Bitrix24 if it was not asked for some minutes; while it cannot be asked, an older answer holds.

        Of several requests at once one asks. The others go on with the older answer while it holds, and are
        refused as unconfirmed when it does not.

        :raise VerificationFailed: the user is not let in any more; so says a denial of ``Bitrix24Error`` too.
        :raise Bitrix24Error: Bitrix24 could not be asked for too long.
        """
        if self._was_confirmed(person, within=CONFIRMATION_LIFETIME):
            return
        try:
            self._throttle.record_or_raise(f"confirmation of {person.id}", ATTEMPTS)
            self._ask_portal(portal, person)
        except DENIAL_LIMIT:
            raise
        except (Bitrix24Error, TooManyFailures) as failure:
            if self._was_confirmed(person, within=MAX_UNCONFIRMED):
                return
            if isinstance(failure, Bitrix24Error):
                raise
            # Asked a moment ago: what came of it stands in the row.
            kind = TokenRejected if person.confirmed_at is None else Unreachable
            raise kind("not_confirmed") from None

    def _was_confirmed(self, person: Person, *, within: timedelta) -> bool:
        moment, now = person.confirmed_at, self._now()
        if moment is None or is_ahead(moment, now):
            return False
        age = now - moment
        return age < within

    def _ask_portal(self, portal: Portal, person: Person) -> None:
        asked_at = self._now()
        with self._call_log.unit(portal) as calls:
            try:
                profile = self._token_refresher.call_with_token(portal, person, _profile, record=calls.add)
                if person.user_id != profile.ID:
                    raise CredentialsRefused("foreign_profile")
            except DENIAL_LIMIT as denial:
                log.info("permission_denied", portal=portal.id, person=person.id, code=denial.code)
                dismissed = isinstance(denial, PersonDismissed)
                self._accounts.revoke_access(person, dismissed=dismissed, asked_at=asked_at)
                raise
        self._accounts.confirm(person, admin=profile.ADMIN, asked_at=asked_at)


def _profile(client: Client, token: str) -> Profile:
    return parse_profile(client.call("profile", token=token, read_only=True))
