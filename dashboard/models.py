"""The tables: portals, people, chains, snapshots and remembered calls."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from dashboard.db import Base, Moment

_Json = JSON(none_as_null=True)
# SQLite counts rows up only in an INTEGER key.
_Key = BigInteger().with_variant(Integer(), "sqlite")


class PortalState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"  # the application's or the portal's paid period is over; everything is kept
    UNINSTALLED = "uninstalled"  # a tombstone: no people, no chains


class ChainState(StrEnum):
    LIVE = "live"
    RECONNECT = "reconnect"  # the refresh token is void; the person's next open brings a new pair


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
    state: Mapped[str] = mapped_column(String(16), default=PortalState.ACTIVE)
    generation: Mapped[int] = mapped_column(Integer, default=1)  # 2 after a reinstallation, and so on
    installed_at: Mapped[datetime] = mapped_column(Moment)
    proven_at: Mapped[datetime] = mapped_column(Moment)  # the last opening or installation that was proven
    uninstalled_at: Mapped[datetime | None] = mapped_column(Moment)

    people: Mapped[list[Person]] = relationship(back_populates="portal", passive_deletes=True)


class Person(Base):
    """A user of a portal, as Bitrix24 described them when they last opened the application."""

    __tablename__ = "people"
    # A number is never given twice: what is still under way for a person who was deleted meanwhile must
    # not find another person under it.
    __table_args__ = (UniqueConstraint("portal_id", "user_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    is_admin: Mapped[bool]
    time_zone: Mapped[str] = mapped_column(String(255))  # the profile's; the calendar has its own
    language: Mapped[str] = mapped_column(String(8))  # Bitrix24's LANG
    opened_at: Mapped[datetime] = mapped_column(Moment)

    portal: Mapped[Portal] = relationship(back_populates="people")


class Chain(Base):
    """A person's newest token pair, and the lease of whoever is renewing it."""

    __tablename__ = "chains"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    access_token: Mapped[str] = mapped_column(Text)  # sealed
    refresh_token: Mapped[str | None] = mapped_column(Text)  # sealed; some openings carry none
    expires_at: Mapped[datetime] = mapped_column(Moment)
    renewed_at: Mapped[datetime] = mapped_column(Moment)
    state: Mapped[str] = mapped_column(String(16), default=ChainState.LIVE)
    version: Mapped[int] = mapped_column(
        Integer, default=1
    )  # counts pairs; compared before a new one is stored
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    renewal_failed_at: Mapped[datetime | None] = mapped_column(Moment)
    renewal_paused_until: Mapped[datetime | None] = mapped_column(Moment)  # the renewed pair was refused too


class Snapshot(Base):
    """A person's settings as last read, and what else the same batch told."""

    __tablename__ = "snapshots"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    settings: Mapped[Any] = mapped_column(_Json, nullable=True)
    account: Mapped[Any] = mapped_column(_Json, nullable=True)
    sections: Mapped[Any] = mapped_column(_Json, nullable=True)
    errors: Mapped[dict[str, str]] = mapped_column(JSON)
    taken_at: Mapped[datetime] = mapped_column(Moment)
    settings_taken_at: Mapped[datetime | None] = mapped_column(Moment)  # None where never read


class ApiCall(Base):
    """A remembered REST call, masked; kept for three days."""

    __tablename__ = "api_calls"
    __table_args__ = (Index(None, "at"), Index(None, "portal_id", "at"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    portal_id: Mapped[int | None] = mapped_column(ForeignKey("portals.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(Moment)
    origin: Mapped[str] = mapped_column(String(255))
    method: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(String(64))
    milliseconds: Mapped[int] = mapped_column(Integer)
    sent: Mapped[int] = mapped_column(Integer)
    received: Mapped[int] = mapped_column(Integer)
    parameters: Mapped[Any] = mapped_column(_Json, nullable=True)
    answer: Mapped[Any] = mapped_column(_Json, nullable=True)
