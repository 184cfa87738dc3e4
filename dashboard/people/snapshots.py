"""What one batch tells about a person's calendar: asked, kept as a snapshot, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.bitrix24.client import Batch, Client, Command
from dashboard.bitrix24.errors import OwnLimit, PersonDismissed, PersonRefused, TokenRejected, Unreadable
from dashboard.bitrix24.masking import RecordCall
from dashboard.bitrix24.schemas import parse_profile
from dashboard.calendar import parser
from dashboard.calendar.parser import (
    ACCOUNT_METHOD,
    METHOD,
    NOT_AN_OBJECT,
    SECTIONS_METHOD,
    CalendarSettings,
    SettingsResponse,
)
from dashboard.core.database import Database, upsert
from dashboard.core.json_values import Json, as_list
from dashboard.core.single_flight import SingleFlight
from dashboard.core.stored_times import is_ahead
from dashboard.models import Person, Portal, Snapshot
from dashboard.people import indexed_columns
from dashboard.people.accounts import Accounts
from dashboard.portals.call_log import CallLog
from dashboard.portals.portal_lock import lock_portal
from dashboard.portals.throttle import Limit, Throttle, TooManyFailures
from dashboard.tokens.refresh import TokenRefresher

# One request: which application the token is of, whose it is, and everything their page shows.
SNAPSHOT_COMMANDS = {
    "app": Command("app.info"),
    "profile": Command("profile"),
    "settings": Command(METHOD),
    "account": Command(ACCOUNT_METHOD),
    "sections": Command(SECTIONS_METHOD, {"type": "user"}),
}

NO_COMMANDS: Mapping[str, Command] = {}

# Characters of one answer as JSON, many times what any real one has: a page shows all there is, and a portal
# on its owner's own server answers what it likes.
MAX_ANSWER_LENGTH = 64 * 1024


# Of one person: as often as anybody clicks by hand, and then as often as settings change.
REFRESH_LIMIT = Limit(depth=10, seconds=6)
MIN_REFRESH_INTERVAL = timedelta(minutes=1)


def fetch_batch(client: Client, token: str, *, also: Mapping[str, Command] = NO_COMMANDS) -> Batch:
    """Return the answers, and those to what else is asked; a command that failed is an error in its place.

    :raise Bitrix24Error: the batch as a whole failed, or a command says that the token is refused.
    """
    batch = client.batch({**SNAPSHOT_COMMANDS, **also}, token=token, read_only=True)
    for error in batch.errors.values():
        if isinstance(error, TokenRejected):
            raise error
    return batch


def parse_batch(batch: Batch, *, taken_at: datetime) -> SettingsResponse:
    """Return what the batch told about the calendar."""
    errors = {
        SNAPSHOT_COMMANDS[key].method: error.code for key, error in batch.errors.items() if key in SNAPSHOT_COMMANDS
    }
    unanswered = SNAPSHOT_COMMANDS.keys() - batch.results.keys() - batch.errors.keys()
    errors |= {SNAPSHOT_COMMANDS[key].method: "command_not_answered" for key in unanswered}
    parts = {"settings": batch.results.get("settings"), "account": batch.results.get("account")}
    parts["sections"] = _sections(batch.results.get("sections"))
    for key, part in parts.items():
        if part and len(json.dumps(part)) > MAX_ANSWER_LENGTH:
            errors[SNAPSHOT_COMMANDS[key].method], parts[key] = "answer_too_large", None
    return SettingsResponse(
        settings=parts["settings"],
        account=parts["account"],
        sections=parts["sections"],
        errors=errors,
        taken_at=taken_at,
    )


def save_snapshot(session: Session, person: Person, reading: SettingsResponse) -> CalendarSettings:
    """Store the reading as the person's snapshot and return the settings that the snapshot now holds.

    A part that could not be read this time keeps its last good value; the errors say which.
    """
    kept = replace(reading, settings_taken_at=reading.taken_at)
    if reading.errors or not isinstance(reading.settings, dict | list):
        # Only what is missing is worth asking for what was there.
        kept = _fill_from_last(reading, session.get(Snapshot, person.id, with_for_update=True) or Snapshot())
    upsert(session, Snapshot, {"person_id": person.id, **vars(kept)})
    my = parse_settings(person, kept)
    indexed_columns.update_indexed_columns(person, my)
    person.confirmed_at = reading.taken_at  # the same batch told whose token it is
    return my


def parse_settings(person: Person, reading: SettingsResponse) -> CalendarSettings:
    """Return the person's settings, typed."""
    return parser.parse(reading, profile_time_zone=person.time_zone or None)


def _fill_from_last(reading: SettingsResponse, last: Snapshot) -> SettingsResponse:
    errors = dict(reading.errors)
    if METHOD not in errors and not isinstance(reading.settings, dict | list) and last.settings:
        errors[METHOD] = NOT_AN_OBJECT
    return SettingsResponse(
        settings=last.settings if METHOD in errors else reading.settings,
        account=last.account if ACCOUNT_METHOD in errors else reading.account,
        sections=last.sections if SECTIONS_METHOD in errors else reading.sections,
        errors=errors,
        taken_at=reading.taken_at,
        settings_taken_at=last.settings_taken_at if METHOD in errors else reading.taken_at,
    )


class Snapshots:
    """People's snapshots."""

    def __init__(
        self,
        *,
        database: Database,
        accounts: Accounts,
        token_refresher: TokenRefresher,
        call_log: CallLog,
        throttle: Throttle,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._token_refresher = token_refresher
        self._call_log = call_log
        self._throttle = throttle
        self._now = now
        self._flights: SingleFlight[CalendarSettings] = SingleFlight()

    def get(self, person: Person) -> CalendarSettings | None:
        """Return the settings of the last snapshot, None where there is none."""
        with self._database.read_session() as session:
            snapshot = session.get(Snapshot, person.id)
            return parse_settings(person, stored_response(snapshot)) if snapshot else None

    def refresh(self, portal: Portal, person: Person) -> CalendarSettings:
        """Read the person's calendar from Bitrix24 now, store and return it. Clicks at once read once.

        Who clicks faster than anybody reads is shown what was read a moment ago.

        :raise OwnLimit: so fast, and nothing was read a moment ago.
        :raise Bitrix24Error: it could not be read; the last snapshot stands.
        """
        whose = (portal.id, portal.generation, person.id)
        return self._flights.run(whose, lambda: self._refresh(portal, person))

    def _refresh(self, portal: Portal, person: Person) -> CalendarSettings:
        try:
            self._throttle.record_or_raise(f"refreshes {person.id}", REFRESH_LIMIT)
        except TooManyFailures as full:
            return self._has_recent(person, full)
        asked_at = self._now()
        with self._call_log.unit(portal) as calls:
            try:
                reading = self.fetch(portal, person, record=calls.add)
            except PersonRefused as refusal:
                dismissed = isinstance(refusal, PersonDismissed)
                self._accounts.revoke_access(person, dismissed=dismissed, asked_at=asked_at)
                raise

            def store(session: Session) -> CalendarSettings:
                there = lock_portal(session, portal)
                calls.write(session)
                present = find_current(session, portal, person) if there else None
                return save_snapshot(session, present, reading) if present else parse_settings(person, reading)

            return self._database.write(store)

    def _has_recent(self, person: Person, full: TooManyFailures) -> CalendarSettings:
        now = self._now()
        with self._database.read_session() as session:
            snapshot = session.get(Snapshot, person.id)
            if snapshot and snapshot.taken_at > now - MIN_REFRESH_INTERVAL and not is_ahead(snapshot.taken_at, now):
                return parse_settings(person, stored_response(snapshot))
        raise OwnLimit("too_many_refreshes", resets_at=now.timestamp() + full.seconds)

    def fetch(self, portal: Portal, person: Person, *, record: RecordCall) -> SettingsResponse:
        """Read the person's calendar from Bitrix24 now; nothing of it is stored but what they may do.

        :raise Bitrix24Error: it could not be read.
        """
        batch = self._token_refresher.call_with_token(portal, person, fetch_batch, record=record)
        profile = parse_profile(batch["profile"])
        if person.user_id != profile.ID:
            raise Unreadable("foreign_profile")
        if person.is_admin != profile.ADMIN:
            self._accounts.set_admin(person, admin=profile.ADMIN)
        return parse_batch(batch, taken_at=self._now())


def find_current(session: Session, portal: Portal, person: Person) -> Person | None:
    """Return the person, locked, unless they or the installation they were read in are gone."""
    same = (Person.id == person.id, Portal.generation == portal.generation)
    return session.scalar(select(Person).join(Portal).where(*same).with_for_update(of=Person))


def stored_response(snapshot: Snapshot) -> SettingsResponse:
    """Return the reading a snapshot keeps."""
    return SettingsResponse(
        settings=snapshot.settings,
        account=snapshot.account,
        sections=snapshot.sections,
        errors=snapshot.errors,
        taken_at=snapshot.taken_at,
        settings_taken_at=snapshot.settings_taken_at,
    )


def _sections(answer: Json) -> Json:
    """Keep of each calendar what names and colours it; the rest (sync tokens, rights) is not ours to keep."""
    sections = as_list(answer)
    if sections is None:
        return None
    return [
        {key: section[key] for key in ("ID", "NAME", "COLOR") if key in section}
        for section in sections
        if isinstance(section, dict)
    ]
