"""Refused proofs, counted by where they came from: leaky buckets that all processes share."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from pydantic import SecretStr
from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from dashboard.core.database import Database, insert_or_ignore, rows_changed
from dashboard.core.stored_times import is_ahead
from dashboard.models import ThrottleCount

RETENTION = timedelta(days=1)
# Counted when a request came through a proxy while TRUSTED_PROXIES is 0; see `Throttle.last`.
UNTRUSTED_PROXY = "untrusted proxy"
# A provider gives a household or an office a network of this size; what is in it is theirs to choose.
IPV6_PREFIX = 64
# An IPv6 address needs its brackets before a port can follow it.
_BRACKETED = re.compile(r"\[([^\]]*)\](?::\d*)?")
_WITH_PORT = re.compile(r"([^:]*):\d*")
_FIND = select(ThrottleCount.level, ThrottleCount.at).where(ThrottleCount.key == bindparam("hashed"))


@dataclass(frozen=True)
class Limit:
    """So many refusals at once, and one more each so many seconds."""

    depth: int
    seconds: float


class TooManyFailures(Exception):
    """The address has used up its allowance; ``seconds`` tells when it may try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too_many_failed_proofs")
        self.seconds = seconds


class Throttle:
    """Counts by names that are stored as keyed hashes. Its transactions are short and its own."""

    def __init__(self, *, database: Database, key: SecretStr, now: Callable[[], datetime]) -> None:
        self._database = database
        self._key = hashlib.sha256(b"refusals " + key.get_secret_value().encode()).digest()
        self._now = now

    def hash_key(self, name: str) -> str:
        """Return what stands for a name in the store and in the log."""
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()

    def check(self, name: str, allowance: Limit) -> bool:
        """Tell whether refusals stand against the name, or raise while the allowance is used up.

        :raise TooManyFailures: see there.
        """
        with self._database.read_session() as session:
            row = session.connection().execute(_FIND, {"hashed": self.hash_key(name)}).one_or_none()
        level = self._level(row.level, row.at, allowance) if row else 0.0
        _raise_if_full(level, allowance)
        return level > 0

    def record_or_raise(self, name: str, allowance: Limit, *, session: Session | None = None) -> None:
        """Use up one of what the name is allowed, however many ask at once.

        With a ``session`` it is a part of that transaction, and is not used up when that is rolled back.

        :raise TooManyFailures: the allowance is used up; nothing is counted.
        """
        if session is None:
            with self._database.write_session() as own:
                self.record_or_raise(name, allowance, session=own)
            return
        row = self._locked(session, name)
        level = self._level(row.level, row.at, allowance)
        _raise_if_full(level, allowance)
        row.level, row.at = level + 1, self._now()

    def last(self, name: str) -> datetime | None:
        """Return when the name was last counted, None where it was not since the last day's purge."""
        with self._database.read_session() as session:
            row = session.connection().execute(_FIND, {"hashed": self.hash_key(name)}).one_or_none()
        return row.at if row else None

    def record_failure(self, name: str, allowance: Limit) -> None:
        """Count one refusal. The level never rises above the depth: a flood is not punished for longer."""
        with self._database.write_session() as session:
            row = self._locked(session, name)
            row.level = min(self._level(row.level, row.at, allowance) + 1, float(allowance.depth))
            row.at = self._now()

    def credit(self, name: str, allowance: Limit) -> None:
        """Take one refusal back for one success; worth asking for where ``check`` found any.

        So an office behind one address is slowed only where most of what it sends is refused.
        """
        with self._database.write_session() as session:
            row = self._locked(session, name)
            row.level = max(self._level(row.level, row.at, allowance) - 1, 0.0)
            row.at = self._now()

    def _level(self, level: float, at: datetime, allowance: Limit) -> float:
        now = self._now()
        if is_ahead(at, now):
            return 0.0  # counted by a clock that was ahead: it would stand for as long as that
        passed = (now - at).total_seconds()
        return max(level - max(passed, 0.0) / allowance.seconds, 0.0)

    def _locked(self, session: Session, name: str) -> ThrottleCount:
        new = {"key": self.hash_key(name), "level": 0.0, "at": self._now()}
        insert_or_ignore(session, ThrottleCount, [new])
        return session.scalars(select(ThrottleCount).where(ThrottleCount.key == new["key"]).with_for_update()).one()


def _raise_if_full(level: float, allowance: Limit) -> None:
    if (above := level - (allowance.depth - 1)) > 0:
        raise TooManyFailures(math.ceil(above * allowance.seconds))


def purge(session: Session, *, now: datetime) -> int:
    """Delete what has been empty for long; return how many."""
    return rows_changed(session, delete(ThrottleCount).where(ThrottleCount.at < now - RETENTION))


def address_in(text: str) -> str | None:
    """Return the address of an ``X-Forwarded-For`` entry, None where it names none.

    Some gateways add a port (``203.0.113.7:40001``, ``[2001:db8::1]:443``) or quote what they write; RFC 7239
    allows ``unknown`` and names such as ``_hidden`` in place of an address.
    """
    entry = text.strip().strip('"')
    if found := _BRACKETED.fullmatch(entry) or _WITH_PORT.fullmatch(entry):
        entry = found[1]
    try:
        ip_address(entry.partition("%")[0])
    except ValueError:
        return None
    return entry


def network_of(address: str) -> str:
    """Return whom an address stands for: itself, or its network where whoever has it has the whole of it.

    What is no address stands for itself too: it came from our own server, not from the visitor.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return str(found)
