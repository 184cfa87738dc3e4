"""Fetch a user's calendar settings in one REST batch and store them as a snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.orm import Session

from dashboard.bitrix24.client import BatchResult, Client, Command
from dashboard.bitrix24.errors import (
    RESPONSE_TOO_LARGE,
    OwnLimit,
    PersonRefused,
    TokenRejected,
    Unreadable,
)
from dashboard.bitrix24.masking import CallRecorder
from dashboard.bitrix24.schemas import AppInfo, Profile, parse_as, parse_profile
from dashboard.calendar.parser import (
    PORTAL_SETTINGS_METHOD,
    SECTIONS_METHOD,
    USER_SETTINGS_METHOD,
    CalendarSettings,
    SettingsResponse,
)
from dashboard.core.database import Database
from dashboard.core.json_values import Json, as_list
from dashboard.core.single_flight import SingleFlight
from dashboard.core.stored_times import is_recent
from dashboard.models import Person, Portal, Snapshot
from dashboard.people.accounts import Accounts
from dashboard.people.snapshot_store import find_current, parse_settings, parse_snapshot, save_snapshot
from dashboard.portals.call_log import CallLog
from dashboard.portals.portal_lock import lock_portal
from dashboard.portals.throttle import Limit, Throttle
from dashboard.tokens.refresh import TokenRefresher

# One request returns the token's application and user, and everything that *My settings* shows.
SNAPSHOT_COMMANDS = {
    "app": Command("app.info"),
    "profile": Command("profile"),
    "settings": Command(USER_SETTINGS_METHOD),
    "account": Command(PORTAL_SETTINGS_METHOD),
    "sections": Command(SECTIONS_METHOD, {"type": "user"}),
}

# Characters of each result as JSON, because a self-hosted portal can return anything. Real settings have less than a
# thousand; two hundred calendars fit.
MAX_RESULT_LENGTHS = {"settings": 16 * 1024, "account": 16 * 1024, "sections": 32 * 1024}

# Refreshes by one person: ten at once, then one in six seconds.
SETTINGS_REFRESH_LIMIT = Limit(depth=10, seconds=6)
# Beyond the limit a person sees the stored snapshot instead of an error if it is not older than this.
MAX_RECENT_AGE = timedelta(minutes=1)


@dataclass(frozen=True)
class SnapshotReply:
    """What a portal returned for ``SNAPSHOT_COMMANDS``."""

    client: Client  # for further calls to the same portal
    batch: BatchResult
    taken_at: datetime  # when the request was sent

    @property
    def profile(self) -> Profile:
        """Return the token's user.

        :raise Bitrix24Error: the command failed, or the user was dismissed.
        """
        return parse_profile(self.batch["profile"])

    @property
    def app(self) -> AppInfo:
        """Return the portal's ``app.info`` of this application; empty if it returned none."""
        return parse_as(AppInfo, self.batch["app"]) if "app" in self.batch.results else AppInfo()

    @property
    def response(self) -> SettingsResponse:
        """Return the calendar settings, with an error code for each method that returned none."""
        commands, results = SNAPSHOT_COMMANDS, self.batch.results
        errors = {commands[key].method: error.code for key, error in self.batch.errors.items() if key in commands}
        missing_keys = commands.keys() - results.keys() - self.batch.errors.keys()
        errors |= {commands[key].method: "command_not_answered" for key in missing_keys}

        def limit_size(key: str, value: Json) -> Json:
            if not value or len(json.dumps(value)) <= MAX_RESULT_LENGTHS[key]:
                return value
            errors[commands[key].method] = RESPONSE_TOO_LARGE
            return None

        return SettingsResponse(
            settings=limit_size("settings", results.get("settings")),
            portal_settings=limit_size("account", results.get("account")),
            sections=limit_size("sections", _sections(results.get("sections"))),
            errors=errors,
            taken_at=self.taken_at,
        )


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """The snapshots of all people."""

    database: Database
    accounts: Accounts
    token_refresher: TokenRefresher
    call_log: CallLog
    throttle: Throttle
    now: Callable[[], datetime]
    refreshes: SingleFlight[CalendarSettings]

    def get(self, person: Person) -> CalendarSettings | None:
        """Return the stored settings, or None if there is no snapshot."""
        with self.database.read_session() as session:
            snapshot = session.get(Snapshot, person.id)
            return parse_snapshot(person, snapshot) if snapshot else None

    def refresh(self, portal: Portal, person: Person) -> CalendarSettings:
        """Fetch the settings, store and return them. Simultaneous requests share one fetch.

        :raise OwnLimit: the person refreshes too often and has no recent snapshot.
        :raise SlotRefused: a fetch has been under way for a while, and too many requests wait for such fetches.
        :raise Bitrix24Error: the settings could not be fetched; the stored snapshot stays.
        """
        key = (portal.id, portal.generation, person.id)
        return self.refreshes.run(key, lambda: self._refresh(portal, person))

    def fetch(self, portal: Portal, person: Person, *, record_call: CallRecorder) -> SettingsResponse:
        """Fetch the settings and return them; store only the profile's administrator rights and time zone.

        :raise Bitrix24Error: the settings could not be fetched.
        """
        fetch = partial(fetch_snapshot, now=self.now)
        reply = self.token_refresher.call_with_token(portal, person, fetch, record_call=record_call)
        profile = reply.profile
        if person.user_id != profile.ID:
            raise Unreadable("foreign_profile")
        if person.is_admin != profile.ADMIN:
            self.accounts.set_admin(person, admin=profile.ADMIN)
        if profile.TIME_ZONE and person.time_zone != profile.TIME_ZONE:
            self.accounts.set_time_zone(person, profile.TIME_ZONE, at=reply.taken_at)
        return reply.response

    def _refresh(self, portal: Portal, person: Person) -> CalendarSettings:
        subject = f"settings refreshes {portal.member_id} {person.user_id}"
        try:
            self.throttle.take(subject, SETTINGS_REFRESH_LIMIT, code="too_many_settings_refreshes")
        except OwnLimit:
            if (recent := self._get_recent(person)) is None:
                raise
            return recent
        started_at = self.now()
        with self.call_log.collect(portal) as calls:
            try:
                response = self.fetch(portal, person, record_call=calls.add)
            except PersonRefused as denial:
                self.accounts.revoke_access(person, denial, asked_at=started_at)
                raise

            def save(session: Session) -> CalendarSettings:
                is_installed = lock_portal(session, portal)
                calls.write(session)
                current = find_current(session, portal, person) if is_installed else None
                return (
                    save_snapshot(session, portal, current, response) if current else parse_settings(person, response)
                )

            return self.database.write(save)

    def _get_recent(self, person: Person) -> CalendarSettings | None:
        with self.database.read_session() as session:
            snapshot = session.get(Snapshot, person.id)
        is_usable = snapshot is not None and is_recent(snapshot.taken_at, self.now(), age=MAX_RECENT_AGE)
        return parse_snapshot(person, snapshot) if snapshot and is_usable else None


def fetch_snapshot(
    client: Client, token: str, *, now: Callable[[], datetime], extra_commands: Mapping[str, Command] | None = None
) -> SnapshotReply:
    """Run ``SNAPSHOT_COMMANDS``, and those in ``extra_commands``, in one batch.

    :raise Bitrix24Error: the batch failed as a whole, or one of its commands refused the token.
    """
    taken_at = now()  # the settings may change during the request
    batch = client.batch({**SNAPSHOT_COMMANDS, **(extra_commands or {})}, token=token, read_only=True)
    for error in batch.errors.values():
        if isinstance(error, TokenRejected):
            raise error
    return SnapshotReply(client, batch, taken_at=taken_at)


def _sections(result: Json) -> Json:
    """Return the id, name and color of each calendar; sync tokens and rights are not stored."""
    sections = as_list(result)
    if sections is None:
        return None
    return [
        {key: section[key] for key in ("ID", "NAME", "COLOR") if key in section}
        for section in sections
        if isinstance(section, dict)
    ]
