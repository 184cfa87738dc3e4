"""Define the tables. Some table and column names are older than the names of the classes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from dashboard.core.database import Base

_Json = JSON(none_as_null=True)
# SQLite generates ids only for an INTEGER key.
_Key = BigInteger().with_variant(Integer(), "sqlite")
# Compared character by character on both databases.
_SortKey = String(100).with_variant(String(100, collation="C"), "postgresql")


class PortalState(StrEnum):
    """The state of a portal's installation."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # the application or the portal is unpaid; all data is kept
    UNINSTALLED = "uninstalled"  # a tombstone without people


class TokenState(StrEnum):
    """Whether a token pair can still be refreshed."""

    VALID = "live"
    REVOKED = "reconnect"  # the refresh token is invalid; the next opening brings a new pair


class RunState(StrEnum):
    """The state of a run."""

    WAITING = "waiting"  # no worker has started it yet
    RUNNING = "running"
    POSTPONED = "postponed"  # until ``next_slice_at``, because of ``error``
    DONE = "done"
    FAILED = "failed"
    CANCELED = "cancelled"


class Portal(Base):
    """A Bitrix24 account, identified by ``member_id``; its address may change."""

    __tablename__ = "portals"

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    member_id: Mapped[str] = mapped_column(String(64), unique=True)
    origin: Mapped[str] = mapped_column(String(255))
    authorization_server: Mapped[str] = mapped_column(String(255))
    app_code: Mapped[str | None] = mapped_column(String(255))  # the application's CODE in ``app.info``
    app_status: Mapped[str] = mapped_column(String(1), default="")
    application_token: Mapped[str | None] = mapped_column(Text)  # encrypted
    # Encrypted; for events sent before an update of the application replaced it.
    previous_token: Mapped[str | None] = mapped_column(Text)
    previous_until: Mapped[datetime | None]
    bindings_at: Mapped[datetime | None]  # the last check, even if the portal refused bindings; None: to be checked
    scopes: Mapped[list[str] | None] = mapped_column(_Json)  # that the portal has granted; None: unknown
    unbound: Mapped[dict[str, str] | None] = mapped_column(_Json)  # what the portal refused to bind → its error code
    state: Mapped[str] = mapped_column(String(16), default=PortalState.ACTIVE)
    # Grows with each installation and deletion of all data. Sessions and runs of an earlier generation are invalid.
    generation: Mapped[int] = mapped_column(Integer, default=1)
    installed_at: Mapped[datetime]
    proven_at: Mapped[datetime]  # the last verified opening or installation
    uninstalled_at: Mapped[datetime | None]
    # Whether everyone may see the team, and the id of the administrator who decided it.
    team_open: Mapped[bool] = mapped_column(default=False, server_default=false())
    team_switched_by: Mapped[int | None] = mapped_column(BigInteger)
    team_switched_at: Mapped[datetime | None]
    # When an administrator let heads see their departments. It is valid only while it equals ``team_switched_at``:
    # the previous version changes that one alone.
    heads_allowed_at: Mapped[datetime | None]
    directory_at: Mapped[datetime | None]  # the last update of the list of employees
    directory_error: Mapped[str | None] = mapped_column(String(64))  # why the last update failed or is incomplete
    next_run_at: Mapped[datetime | None]
    # The company's working hours in minutes of the day, which apply to everybody without hours of their own.
    work_start: Mapped[int | None]
    work_end: Mapped[int | None]
    # What an administrator recommends (`team/recommendations.py`), the id of the one who last decided, and when.
    recommended: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    recommended_by: Mapped[int | None] = mapped_column(BigInteger)
    recommended_at: Mapped[datetime | None]
    steps_hidden_at: Mapped[datetime | None]  # when an administrator hid the first steps
    # The space that its people take up (`people/storage_limit.py`).
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))


class RateLimit(Base):
    """The state of a portal's request limit, shared by all processes (``bitrix24/leaky_bucket.py``)."""

    __tablename__ = "buckets"

    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"), primary_key=True)
    level: Mapped[float]
    at: Mapped[float]  # Unix seconds, as Bitrix24's ``operating_reset_at``
    rate: Mapped[float]
    pauses: Mapped[dict[str, float]] = mapped_column(JSON)  # method → Unix seconds
    log_empty_at: Mapped[float] = mapped_column(Float, server_default="0")  # see ``portals/call_log_space.py``


_SORTS = (
    *(("sort_key",), ("accented_sort_key",), ("zone", "sort_key"), ("main_department", "sort_key")),
    *(("view",), ("work_start", "work_end"), ("reminder_count",), ("settings_at",)),
)


class Person(Base):
    """A user of a portal, known from an opening or from the list of employees.

    The columns from ``chain_state`` on are copies of the person's token and snapshot, so that *Team* can filter,
    sort and count ten thousand people without reading those.
    """

    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("portal_id", "user_id"),
        # One for each order of Team, with the id that breaks ties.
        *(Index(f"ix_people_by_{'_'.join(by)}", "portal_id", *by, "id", "listed") for by in _SORTS),
        Index(None, "portal_id", "id"),
        Index(
            "ix_people_team",
            *("portal_id", "zone", "work_start", "work_end", "listed", "chain_state"),
            *("reminder_count", "view", "settings_at", "time_zone", "calendar_zone"),
        ),
        Index("ix_people_habits", "portal_id", "habits", "time_zone", "calendar_zone", "listed"),
        {
            "sqlite_autoincrement": True
        },  # ids are never reused: a request for a deleted person must not find another one
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    is_admin: Mapped[bool]
    time_zone: Mapped[str] = mapped_column(String(255))  # of the profile; the calendar has its own
    # When the profile's was seen to have changed, and what it was before: the person travels or has moved.
    previous_time_zone: Mapped[str] = mapped_column(String(255), default="", server_default="")
    time_zone_changed_at: Mapped[datetime | None]
    language: Mapped[str] = mapped_column(String(8))  # Bitrix24's LANG
    opened_at: Mapped[datetime | None]  # None: has never opened the application
    # When Bitrix24 last confirmed the user and their rights; None: never, or the last answer was a denial.
    confirmed_at: Mapped[datetime | None]
    headships_at: Mapped[datetime | None]  # when Bitrix24 last confirmed which departments they head
    # True: an employee. False: a guest. None: unknown until the next update of the list, because the person opened the
    # application after the last one, or was found to be a guest or dismissed since then.
    listed: Mapped[bool | None]
    listed_by_run: Mapped[int | None] = mapped_column(BigInteger)  # the id of the last run that found them in the list
    position: Mapped[str] = mapped_column(String(255), default="", server_default="")
    photo: Mapped[str] = mapped_column(Text, default="", server_default="")
    departments: Mapped[list[int] | None] = mapped_column(_Json)
    # The first of the departments.
    main_department: Mapped[int | None] = mapped_column(BigInteger)
    search: Mapped[str] = mapped_column(Text, default="", server_default="")  # folded name and position
    # Of the name, one for most languages and one for the others (`core/sort_keys.py`); empty without a name.
    sort_key: Mapped[str] = mapped_column(_SortKey, default="", server_default="")
    accented_sort_key: Mapped[str] = mapped_column(_SortKey, default="", server_default="")
    problem: Mapped[str | None] = mapped_column(String(64))  # why the last run failed for this person
    chain_state: Mapped[str | None] = mapped_column(String(16))  # a TokenState; None: never had a token pair
    view: Mapped[str] = mapped_column(String(64), default="", server_default="")
    # Their own, in minutes of the day; None: the company's apply.
    work_start: Mapped[int | None]
    work_end: Mapped[int | None]
    # The canonical name of the zone they are believed to be in, and whose it is; empty if unknown.
    zone: Mapped[str] = mapped_column(String(64), default="", server_default="")
    zone_source: Mapped[str] = mapped_column(String(8), default="", server_default="")
    calendar_zone: Mapped[str] = mapped_column(String(64), default="", server_default="")
    reminders: Mapped[str] = mapped_column(Text, default="", server_default="")
    reminder_count: Mapped[int | None]  # None: unknown
    # The toggles and reminders as text; see ``calendar/encoding.py``.
    habits: Mapped[str] = mapped_column(String(320), default="", server_default="")
    settings_at: Mapped[datetime | None]
    snapshot_bytes: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    # The COLUMNS_VERSION of `people/indexed_columns.py` that set the columns above.
    columns_version: Mapped[int] = mapped_column("facts_version", Integer, default=0, server_default=text("0"))


class Department(Base):
    """A department of a portal, as ``department.get`` last returned it. Its parent and its head may not exist."""

    __tablename__ = "departments"
    __table_args__ = (Index(None, "portal_id", "parent_id"), Index(None, "portal_id", "head_id"))

    portal_id: Mapped[int] = mapped_column(_Key, ForeignKey("portals.id", ondelete="CASCADE"), primary_key=True)
    department_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # Bitrix24's
    parent_id: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    head_id: Mapped[int | None] = mapped_column(BigInteger)  # a user id
    sort: Mapped[int]


class DepartmentMember(Base):
    """One of a person's departments: ``Person.departments``, so that *Team* can find the people of a department."""

    __tablename__ = "department_members"
    __table_args__ = (Index("ix_department_members_department", "portal_id", "department_id", "person_id"),)

    person_id: Mapped[int] = mapped_column(_Key, ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    department_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    portal_id: Mapped[int] = mapped_column(BigInteger)


class OAuthToken(Base):
    """A person's newest token pair, and the lease of the process that refreshes it."""

    __tablename__ = "chains"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    access_token: Mapped[str] = mapped_column(Text)  # encrypted
    refresh_token: Mapped[str | None] = mapped_column(Text)  # encrypted; some openings have none
    expires_at: Mapped[datetime]
    renewed_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16), default=TokenState.VALID)
    version: Mapped[int] = mapped_column(Integer, default=1)  # for compare-and-set
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None]
    renewal_failed_at: Mapped[datetime | None]
    # Until then the pair is not refreshed: the portal refused a refreshed pair too, or the authorization server refuses
    # this person's refresh token but not the portal.
    renewal_paused_until: Mapped[datetime | None]
    # Until then, one process changes the person's settings (`people/settings_lease.py`); the next one waits.
    settings_lease_until: Mapped[datetime | None]


class Snapshot(Base):
    """The responses of the last batch that read a person's settings."""

    __tablename__ = "snapshots"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    settings: Mapped[Any] = mapped_column(_Json, nullable=True)
    account: Mapped[Any] = mapped_column(_Json, nullable=True)  # the portal's settings
    sections: Mapped[Any] = mapped_column(_Json, nullable=True)
    errors: Mapped[dict[str, str]] = mapped_column(JSON)
    taken_at: Mapped[datetime]
    settings_taken_at: Mapped[datetime | None]
    # A change that was sent and whose result is not stored yet (`people/history.py`, PendingChange).
    pending_change: Mapped[dict[str, Any] | None] = mapped_column(_Json)


class SettingChange(Base):
    """A change of one of a person's settings: by their own click here, or seen when the settings were read."""

    __tablename__ = "setting_changes"
    __table_args__ = (Index(None, "person_id", "id"), Index(None, "portal_id", "id"), Index(None, "changed_at"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    changed_at: Mapped[datetime]
    key: Mapped[str] = mapped_column(String(64))  # as Bitrix24 names the setting
    before: Mapped[str | None] = mapped_column(Text)  # JSON; None: it was not known
    after: Mapped[str | None] = mapped_column(Text)
    how: Mapped[str] = mapped_column(String(16))  # a `people.history.ChangeSource`
    change_set: Mapped[str | None] = mapped_column(String(32))  # shared by the changes that are undone together


class SavedGroup(Base):
    """People whom a person has saved under a name, to find times with them again."""

    __tablename__ = "saved_groups"
    __table_args__ = (UniqueConstraint("person_id", "name"),)

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    user_ids: Mapped[list[int]] = mapped_column(_Json)
    created_at: Mapped[datetime]


class Run(Base):
    """One update of a portal's people, claimed by one worker at a time."""

    __tablename__ = "runs"
    __table_args__ = (
        # A portal has at most one unfinished run: the migration limits the index to these. Here that would take
        # ``postgresql_where``, for which SQLAlchemy loads all it knows of Postgres into each process: two megabytes.
        Index("uq_runs_unfinished", "portal_id", unique=True),
        Index(None, "finished_at", "next_slice_at"),
        Index(None, "portal_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    generation: Mapped[int]
    asked_by: Mapped[int | None] = mapped_column(BigInteger)  # a user id; None: the application or an operator
    state: Mapped[str] = mapped_column(String(16), default=RunState.WAITING)
    error: Mapped[str | None] = mapped_column(String(64))
    directory_read: Mapped[bool] = mapped_column(default=False)
    # Where the list of employees continues (`bitrix24/users.py`, ListPosition); None: at its beginning.
    list_position: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    total: Mapped[int] = mapped_column(Integer, default=0)
    done: Mapped[int] = mapped_column(Integer, default=0)
    failed: Mapped[int] = mapped_column(Integer, default=0)
    cursor: Mapped[int] = mapped_column(BigInteger, default=0)  # the id of the last person processed
    last: Mapped[int] = mapped_column(BigInteger, default=0)  # the id of the last person of the run
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # postponements in a row
    cancel: Mapped[bool] = mapped_column(default=False)
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    next_slice_at: Mapped[datetime]
    rung_until: Mapped[datetime | None]  # only for the previous version
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class PeriodicTask(Base):
    """The next time of a task; the worker that changes ``next_at`` runs it."""

    __tablename__ = "chores"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    next_at: Mapped[datetime]


class ApiCall(Base):
    """A REST call in the call log, with secrets and personal data masked."""

    __tablename__ = "api_calls"
    __table_args__ = (Index(None, "at"), Index(None, "portal_id", "at"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int | None] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    origin: Mapped[str] = mapped_column(String(255))
    method: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(64))
    milliseconds: Mapped[int]
    sent: Mapped[int]
    received: Mapped[int]
    parameters: Mapped[Any] = mapped_column(_Json, nullable=True)
    answer: Mapped[Any] = mapped_column(_Json, nullable=True)


class ThrottleCount(Base):
    """A leaky bucket of a subject's recent attempts or failures, shared by all processes (``portals/throttle.py``)."""

    __tablename__ = "refusals"
    __table_args__ = (Index(None, "at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a keyed hash, so that no IP address is stored
    level: Mapped[float]
    at: Mapped[datetime]


class Tally(Base):
    """A counter of metrics; only the previous version uses this table."""

    __tablename__ = "tallies"

    series: Mapped[str] = mapped_column(String(64), primary_key=True)
    labels: Mapped[str] = mapped_column(String(255), primary_key=True)  # a JSON list
    value: Mapped[float]
