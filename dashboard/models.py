"""The tables: portals, their buckets, people, chains, snapshots, runs, chores and remembered calls."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from dashboard.core.database import Base, UTCDateTime

_Json = JSON(none_as_null=True)
# SQLite counts rows up only in an INTEGER key.
_Key = BigInteger().with_variant(Integer(), "sqlite")


class PortalState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"  # the application's or the portal's paid period is over; everything is kept
    UNINSTALLED = "uninstalled"  # a tombstone: no people, no chains


class TokenState(StrEnum):
    VALID = "live"
    REVOKED = "reconnect"  # the refresh token is invalid; the next opening brings a new pair


class RunState(StrEnum):
    WAITING = "waiting"  # asked for; no worker has looked at it yet
    RUNNING = "running"
    POSTPONED = "postponed"  # the portal's move, or time's; ``error`` says why, ``next_slice_at`` till when
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Portal(Base):
    """A Bitrix24 account, known for ever by ``member_id``; its address may change."""

    __tablename__ = "portals"

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    member_id: Mapped[str] = mapped_column(String(64), unique=True)
    origin: Mapped[str] = mapped_column(String(255))
    authorization_server: Mapped[str] = mapped_column(String(255))
    app_code: Mapped[str | None] = mapped_column(String(255))  # app.info's CODE: the mark of our application
    app_status: Mapped[str] = mapped_column(String(1), default="")
    application_token: Mapped[str | None] = mapped_column(Text)  # sealed
    # The one before it, for events that were on their way when an update changed it; sealed.
    previous_token: Mapped[str | None] = mapped_column(Text)
    previous_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    bindings_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # found whole; None: to be looked at
    # As the same daily look found them; None: not told yet.
    scopes: Mapped[list[str] | None] = mapped_column(_Json)  # the permissions the portal has granted
    unbound: Mapped[dict[str, str] | None] = mapped_column(_Json)  # what it would not bind → its code
    state: Mapped[str] = mapped_column(String(16), default=PortalState.ACTIVE)
    # One more after a reinstallation, and after everything was deleted: what is still under way for the one
    # before, and its sessions, end there.
    generation: Mapped[int] = mapped_column(Integer, default=1)
    installed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    proven_at: Mapped[datetime] = mapped_column(UTCDateTime)  # the last opening or installation that was proven
    uninstalled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Who may see the team besides administrators, and who (a user id) decided it.
    team_open: Mapped[bool] = mapped_column(default=False, server_default=false())
    team_switched_by: Mapped[int | None] = mapped_column(BigInteger)
    team_switched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    directory_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # the list of employees, as last read
    directory_error: Mapped[str | None] = mapped_column(String(64))  # why the last reading was none, or not whole
    next_run_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: not planned yet


class RateLimit(Base):
    """What is known of the portal's request limit, shared by all processes (``bitrix24/limiter.py``)."""

    __tablename__ = "buckets"

    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"), primary_key=True)
    level: Mapped[float] = mapped_column(Float)
    at: Mapped[float] = mapped_column(Float)  # Unix seconds, as Bitrix24's own ``operating_reset_at``
    rate: Mapped[float] = mapped_column(Float)
    pauses: Mapped[dict[str, float]] = mapped_column(JSON)  # method → Unix seconds
    log_empty_at: Mapped[float] = mapped_column(Float, server_default="0")  # see ``log_space.py``


_SORTS = (
    ("search",),
    ("view",),
    ("work_start", "work_end"),
    ("calendar_zone",),
    ("reminder_count",),
    ("settings_at",),
)


class Person(Base):
    """A user of a portal: as their last opening told, or as the list of employees names them.

    From ``view`` on stands what *Team* shows, counts and sorts by, copied from chain and snapshot by the
    code that changes those, so that a page of ten thousand people reads neither.
    """

    __tablename__ = "people"
    # A number is never given twice: what is still under way for a person who was deleted meanwhile must
    # not find another person under it.
    __table_args__ = (
        UniqueConstraint("portal_id", "user_id"),
        # Each of Team's sorts, with the number that breaks a tie: a page is read where it stands.
        *(Index(f"ix_people_by_{'_'.join(by)}", "portal_id", *by, "id", "listed") for by in _SORTS),
        Index(None, "portal_id", "id"),
        Index(
            "ix_people_team",
            *("portal_id", "calendar_zone", "work_start", "work_end", "listed", "chain_state"),
            *("reminder_count", "view", "settings_at"),
        ),
        Index("ix_people_habits", "portal_id", "habits", "time_zone", "calendar_zone", "listed"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    is_admin: Mapped[bool]
    time_zone: Mapped[str] = mapped_column(String(255))  # the profile's; the calendar has its own
    language: Mapped[str] = mapped_column(String(8))  # Bitrix24's LANG
    opened_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: listed, never here
    # When Bitrix24 last said who this is and whether they are an administrator. None: never, or it said no.
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # True: in the list of employees. False: was here and is none, a guest. None: the list is older.
    listed: Mapped[bool | None]
    position: Mapped[str] = mapped_column(String(255), default="", server_default="")
    photo: Mapped[str] = mapped_column(Text, default="", server_default="")
    departments: Mapped[list[int] | None] = mapped_column(_Json)
    search: Mapped[str] = mapped_column(Text, default="", server_default="")  # name, position; folded
    problem: Mapped[str | None] = mapped_column(String(64))  # why a run could not read them, until one can
    chain_state: Mapped[str | None] = mapped_column(String(16))
    view: Mapped[str] = mapped_column(String(64), default="", server_default="")
    work_start: Mapped[int | None] = mapped_column(Integer)  # minutes of the day
    work_end: Mapped[int | None] = mapped_column(Integer)
    calendar_zone: Mapped[str] = mapped_column(String(64), default="", server_default="")
    reminders: Mapped[str] = mapped_column(Text, default="", server_default="")
    reminder_count: Mapped[int | None] = mapped_column(Integer)  # None: not told
    habits: Mapped[str] = mapped_column(String(320), default="", server_default="")  # see `habits_text`
    settings_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    facts_version: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))


class OAuthToken(Base):
    """A person's newest token pair, and the lease of whoever is renewing it."""

    __tablename__ = "chains"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    access_token: Mapped[str] = mapped_column(Text)  # sealed
    refresh_token: Mapped[str | None] = mapped_column(Text)  # sealed; some openings carry none
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    renewed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    state: Mapped[str] = mapped_column(String(16), default=TokenState.VALID)
    version: Mapped[int] = mapped_column(Integer, default=1)  # counts pairs; compared before a new one is stored
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    renewal_failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    renewal_paused_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # the renewed pair was refused too


class Snapshot(Base):
    """A person's settings as last read, and what else the same batch told."""

    __tablename__ = "snapshots"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    settings: Mapped[Any] = mapped_column(_Json, nullable=True)
    account: Mapped[Any] = mapped_column(_Json, nullable=True)
    sections: Mapped[Any] = mapped_column(_Json, nullable=True)
    errors: Mapped[dict[str, str]] = mapped_column(JSON)
    taken_at: Mapped[datetime] = mapped_column(UTCDateTime)
    settings_taken_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None where never read


class Run(Base):
    """One synchronization of one portal, claimed by one worker at a time."""

    __tablename__ = "runs"
    __table_args__ = (
        # One run of a portal at a time: whoever inserts second finds the first one's.
        Index(
            "uq_runs_unfinished",
            "portal_id",
            unique=True,
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(None, "finished_at", "next_slice_at"),
        Index(None, "portal_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    generation: Mapped[int] = mapped_column(Integer)
    asked_by: Mapped[int | None] = mapped_column(BigInteger)  # a user id; None: the daily run
    state: Mapped[str] = mapped_column(String(16), default=RunState.WAITING)
    error: Mapped[str | None] = mapped_column(String(64))
    directory_read: Mapped[bool] = mapped_column(default=False)
    total: Mapped[int] = mapped_column(Integer, default=0)
    done: Mapped[int] = mapped_column(Integer, default=0)
    failed: Mapped[int] = mapped_column(Integer, default=0)
    cursor: Mapped[int] = mapped_column(BigInteger, default=0)  # the last person's id that was dealt with
    last: Mapped[int] = mapped_column(BigInteger, default=0)  # the id at which the run ends
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # postponed so often in a row
    cancel: Mapped[bool] = mapped_column(default=False)
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    heartbeat_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    next_slice_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Not used any more; the version before still reads and writes it.
    rung_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class PeriodicTask(Base):
    """Something all workers do together now and then; whoever moves ``next_at`` on does it."""

    __tablename__ = "chores"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    next_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ApiCall(Base):
    """A remembered REST call, masked; kept for three days."""

    __tablename__ = "api_calls"
    __table_args__ = (Index(None, "at"), Index(None, "portal_id", "at"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int | None] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    origin: Mapped[str] = mapped_column(String(255))
    method: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(String(64))
    milliseconds: Mapped[int] = mapped_column(Integer)
    sent: Mapped[int] = mapped_column(Integer)
    received: Mapped[int] = mapped_column(Integer)
    parameters: Mapped[Any] = mapped_column(_Json, nullable=True)
    answer: Mapped[Any] = mapped_column(_Json, nullable=True)


class ThrottleCount(Base):
    """How often something was refused of late: a leaky bucket, shared by all processes (``refusals.py``)."""

    __tablename__ = "refusals"
    __table_args__ = (Index(None, "at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a keyed hash: no address is kept
    level: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class Tally(Base):
    """A counter of the version before, which still reads and writes this table; this version does neither."""

    __tablename__ = "tallies"

    series: Mapped[str] = mapped_column(String(64), primary_key=True)
    labels: Mapped[str] = mapped_column(String(255), primary_key=True)  # a JSON list, in the series' order
    value: Mapped[float] = mapped_column(Float)
