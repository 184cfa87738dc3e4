"""Change a person's settings at their own click, with their own token: read, decide, write, read again, store.

``SettingsWriter`` is the only caller of ``calendar.user.settings.set``, and only views that a person's click reaches
use it: no run, command or administrator changes anybody's settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import uuid4

from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import (
    RESPONSE_TOO_LARGE,
    Bitrix24Error,
    CallRejected,
    NotAnswered,
    PersonRefused,
    Unreadable,
)
from dashboard.calendar.changes import WritePlan, compare, plan_edits, survives_writing
from dashboard.calendar.edits import EDITABLE_KEYS, Edits
from dashboard.calendar.parser import NOT_AN_OBJECT, USER_SETTINGS_METHOD
from dashboard.calendar.undo import Change, plan_undo
from dashboard.core.database import UNAVAILABLE, Database
from dashboard.core.json_values import Json
from dashboard.core.shared_slots import SlotRefused
from dashboard.models import Person, Portal
from dashboard.people import history
from dashboard.people.accounts import Accounts
from dashboard.people.change_store import ChangeAttempt, ChangeResult, Reading, save_pending, save_result
from dashboard.people.history import ChangeSource, PendingChange
from dashboard.people.settings_lease import HeldLease, SettingsLease
from dashboard.people.snapshot_store import is_corrupted_code, mark_unreadable
from dashboard.people.snapshots import MAX_RESULT_LENGTHS
from dashboard.portals.call_log import CallLog, CallRecords
from dashboard.portals.throttle import Limit, Throttle
from dashboard.tokens.refresh import TokenRefresher

SET_METHOD = "calendar.user.settings.set"
# Changes by one person: sixty at once, then one in two seconds. Each takes three requests.
CHANGE_LIMIT = Limit(depth=60, seconds=2)

Decide = Callable[[dict[str, Json]], WritePlan]
Write = Callable[["_Requests", PendingChange], ChangeAttempt]


class ChangeUnconfirmed(NotAnswered):
    """The values were sent, but could not be read again or stored; only the next reading tells if they are saved."""


class ChangeNotFound(Exception):
    """The person has no such change, or it is too old."""


@dataclass(frozen=True, kw_only=True)
class SettingsWriter:
    """Changes settings. Two changes of one person at once are made one after the other (`settings_lease.py`)."""

    database: Database
    accounts: Accounts
    token_refresher: TokenRefresher
    call_log: CallLog
    throttle: Throttle
    lease: SettingsLease
    now: Callable[[], datetime]

    def edit(
        self, portal: Portal, person: Person, edits: Edits, *, source: ChangeSource = ChangeSource.EDITED
    ) -> ChangeResult:
        """Write the edits that differ from the settings, and record them with this source.

        :raise InvalidEdit: an edit keeps reminders that are not there.
        :raise Bitrix24Error: the settings could not be read; nothing was written.
        :raise ChangeUnconfirmed: they could not be read again.
        """
        return self._change(portal, person, partial(plan_edits, edits), source=source)

    def undo(self, portal: Portal, person: Person, change_id: int) -> ChangeResult:
        """Undo one of the person's changes and all others of its set, unless a value has changed since.

        The second of two clicks finds the value that the first one has restored, so it is refused and writes nothing.

        :raise ChangeNotFound: the person has made no such change here.
        :raise Bitrix24Error: as ``edit``.
        """
        self._find_set(person, change_id)

        def decide(current: dict[str, Json]) -> WritePlan:
            # Once more under the lease: another tab's change may have been saved meanwhile.
            changes, changed_since = self._find_set(person, change_id)
            return plan_undo(changes, current, changed_since=changed_since)

        return self._change(portal, person, decide, source=ChangeSource.UNDONE)

    def _find_set(self, person: Person, change_id: int) -> tuple[list[Change], set[str]]:
        with self.database.read_session() as session:
            change_set = history.find_set(session, person, change_id)
        if change_set is None:
            raise ChangeNotFound
        return change_set

    def reset(self, portal: Portal, person: Person) -> ChangeResult:
        """Reset corrupted settings to Bitrix24's defaults, which is the only way to make them readable again.

        Settings that can be read are never reset.

        :raise Bitrix24Error: as ``edit``.
        """

        def write(requests: _Requests, pending: PendingChange) -> ChangeAttempt:
            try:
                return ChangeAttempt(after=requests.read())
            except CallRejected as rejection:
                if not is_corrupted_code(rejection.code):
                    raise
            requests.lease.renew()
            error = requests.write(False)
            if error and not isinstance(error, NotAnswered):
                raise error
            return ChangeAttempt(after=requests.read_again(), pending=pending, changed=EDITABLE_KEYS)

        return self._run(portal, person, write, source=ChangeSource.EDITED)

    def _change(self, portal: Portal, person: Person, decide: Decide, *, source: ChangeSource) -> ChangeResult:
        def write(requests: _Requests, pending: PendingChange) -> ChangeAttempt:
            before = requests.read()
            plan = decide(before.settings)
            asked_for = (*plan.values, *plan.refused)
            if not plan.values or not survives_writing(before.settings):
                return ChangeAttempt(after=before, unchanged=asked_for)
            requests.lease.renew()
            pending = replace(pending, values=plan.values, at=self.now())
            # From here on another reading may see the new values, and our process may be killed.
            self.database.write(partial(save_pending, portal=portal, person=person, before=before, pending=pending))
            error = requests.write(plan.values)
            if error and not isinstance(error, NotAnswered):
                return ChangeAttempt(after=before, unchanged=asked_for, error=error)
            after = requests.read_again()
            outcome = compare(plan.values, after.settings)
            return ChangeAttempt(
                after=after,
                pending=pending,
                changed=outcome.changed,
                unchanged=(*outcome.unchanged, *plan.refused),
                error=error if outcome.unchanged else None,  # a lost answer does not matter if the values are there
            )

        return self._run(portal, person, write, source=source)

    def _run(self, portal: Portal, person: Person, write: Write, *, source: ChangeSource) -> ChangeResult:
        subject = f"settings changes {portal.member_id} {person.user_id}"
        self.throttle.take(subject, CHANGE_LIMIT, code="too_many_settings_changes")
        started_at = self.now()
        with self.lease.hold(person) as lease, self.call_log.collect(portal) as calls:
            requests = _Requests(self.token_refresher, portal, person, calls, lease, self.now)
            try:
                attempt = write(requests, PendingChange(source, uuid4().hex, {}, started_at))
            except PersonRefused as denial:
                self.accounts.revoke_access(person, denial, asked_at=started_at)
                raise
            except CallRejected as rejection:
                if is_corrupted_code(rejection.code):
                    self.database.write(partial(mark_unreadable, person=person, code=rejection.code))
                raise
            save = partial(save_result, portal=portal, person=person, attempt=attempt, calls=calls)
            with _unconfirmed_if_unavailable() if attempt.changed else nullcontext():
                return self.database.write(save)


@dataclass(frozen=True)
class _Requests:
    """Makes the requests of one change."""

    token_refresher: TokenRefresher
    portal: Portal
    person: Person
    calls: CallRecords
    lease: HeldLease
    now: Callable[[], datetime]

    def read(self) -> Reading:
        """Read the settings without storing them, so that repeating the call with a new token repeats nothing else."""
        taken_at = self.now()
        settings = self.token_refresher.call_with_token(self.portal, self.person, _get, record_call=self.calls.add)
        return Reading(settings, taken_at)

    def read_again(self) -> Reading:
        """Read the settings after they were written, twice if the first attempt fails.

        :raise ChangeUnconfirmed: both failed.
        """
        with _unconfirmed_if_unavailable():
            with suppress(Bitrix24Error):
                return self.read()
            try:
                return self.read()
            except PersonRefused:
                raise
            except Bitrix24Error as error:
                raise ChangeUnconfirmed(error.code) from error

    def write(self, values: Json) -> Bitrix24Error | None:
        """Write the values and return the error, if there was one. The answer proves nothing, so it is not read.

        Writing the same values twice changes nothing more, so it may be repeated with a new token.

        :raise ChangeUnconfirmed: the database failed, perhaps after the values were sent.
        """
        set_values = partial(_set, values=values)
        with _unconfirmed_if_unavailable():
            try:
                self.token_refresher.call_with_token(self.portal, self.person, set_values, record_call=self.calls.add)
            except PersonRefused:
                raise
            except Bitrix24Error as error:
                return error
        return None


@contextmanager
def _unconfirmed_if_unavailable() -> Iterator[None]:
    """Say that a change may have been made if the database or a free thread is missing after it was sent."""
    try:
        yield
    except (*UNAVAILABLE, SlotRefused) as error:
        raise ChangeUnconfirmed("not_stored") from error


def _get(client: Client, token: str) -> dict[str, Json]:
    """Return the raw settings; a call of its own keeps the types, which a batch's commands would lose in writing."""
    settings = client.call(USER_SETTINGS_METHOD, token=token, read_only=True)
    if settings == []:
        return {}  # PHP writes an empty object as []
    if not isinstance(settings, dict):
        raise Unreadable(NOT_AN_OBJECT)
    if len(json.dumps(settings)) > MAX_RESULT_LENGTHS["settings"]:
        raise Unreadable(RESPONSE_TOO_LARGE)
    return settings


def _set(client: Client, token: str, *, values: Json) -> None:
    client.call(SET_METHOD, {"settings": values}, token=token)
