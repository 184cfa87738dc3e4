"""A portal that has installed the application, copied for each test from one that did it over HTTP."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Insert, Integer, func, insert, select

from dashboard.core.database import Base, dialect_of
from tests.emulator import Emulator, Person, RequestRecord, Strictness
from tests.emulator.application import DEFAULT_SCOPES, Application
from tests.emulator.tokens import Pair
from tests.world import REUSABLE_DATABASES, World

# Times that are stored as seconds.
SECONDS = {("buckets", "at"), ("buckets", "log_empty_at")}


@dataclass(frozen=True)
class Rows:
    """Rows of one table, and which of their columns are times."""

    statement: Insert
    rows: tuple[dict[str, Any], ...]
    seconds: frozenset[str]
    sequence: str  # what numbers the rows on Postgres


@dataclass(frozen=True)
class Installation:
    """What an installation leaves in the database and in the emulator, and when and where that was."""

    moment: float
    origin: str
    authorization_server: str
    app_url: str
    tables: tuple[Rows, ...]
    admin: Person
    application: Application
    pairs: tuple[Pair, ...]
    levels: dict[str, tuple[float, float]]
    records: tuple[RequestRecord, ...]


def emulator() -> Emulator:
    """Return the emulator that most tests use."""
    return Emulator(client_id="app.test.1", client_secret="emulated-secret", everyone_speaks="en")


@contextmanager
def installed_world(bitrix24: Emulator, database_url: str) -> Iterator[World]:
    """Yield the application in front of an emulator; Alpha has installed it."""
    as_usual = _is_new(bitrix24)
    with World(bitrix24, database_url) as world:
        if as_usual:
            _copy_to(world)
        else:
            world.install("alpha")
        yield world


@cache
def _installation() -> Installation:
    """Install in Alpha as its administrator, up to the last click."""
    with tempfile.TemporaryDirectory(prefix="installed-") as folder, emulator() as bitrix24:
        portal = bitrix24.portal("alpha")
        admin = deepcopy(portal.people["anna"])
        url = f"sqlite:///{Path(folder) / 'dashboard.db'}"
        with World(bitrix24, url) as world:
            assert world.post("/install", portal.open_installer_as("anna")).status_code == 200
            moment = bitrix24.clock.now()
            tables = tuple(_tables_of(world))
        REUSABLE_DATABASES.pop(url, None)
        assert portal.bucket is not None
        return Installation(
            moment=moment,
            origin=portal.origin,
            authorization_server=bitrix24.authorization_server,
            app_url=bitrix24.app_url,
            tables=tables,
            admin=admin,
            application=deepcopy(portal.application),
            pairs=tuple(bitrix24.world.tokens.of(portal.member_id)),
            levels=dict(portal.bucket.levels),
            records=tuple(bitrix24.requests),
        )


def _tables_of(world: World) -> Iterator[Rows]:
    """Yield the rows of each table that has any, those that others refer to first."""
    with world.database.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            rows = tuple(dict(row) for row in connection.execute(select(table)).mappings())
            numbered = table.autoincrement_column
            if rows:
                yield Rows(
                    insert(table),
                    rows,
                    frozenset(column for name, column in SECONDS if name == table.name),
                    f"{table.name}_id_seq" if numbered is not None and isinstance(numbered.type, Integer) else "",
                )


def _is_new(bitrix24: Emulator) -> bool:
    """Return whether nothing has been changed of an emulator, so that an installation would be the usual one."""
    portal = bitrix24.portal("alpha")
    return (
        bitrix24.client_id == "app.test.1"
        and bitrix24.world.strictness == Strictness()
        and not bitrix24.requests
        and not portal.lacks_placements
        # What the application measures by the machine's clock would be moved by the emulator's.
        and abs(bitrix24.clock.now() - time.time()) < 1
        and replace(portal.application, token="") == Application(token="", scopes=list(DEFAULT_SCOPES))
        and portal.people["anna"] == _installation().admin
    )


def _copy_to(world: World) -> None:
    """Bring an empty database and a new emulator to where the installation left its own, as if it had just ended."""
    done, bitrix24 = _installation(), world.bitrix24
    portal = bitrix24.portal("alpha")
    passed = bitrix24.clock.now() - done.moment
    addresses = {done.origin: portal.origin, done.authorization_server: bitrix24.authorization_server}
    with world.database.write_session() as session:
        for table in done.tables:
            session.execute(table.statement, [_moved(row, table.seconds, passed, addresses) for row in table.rows])
            if table.sequence and dialect_of(session) == "postgresql":
                session.execute(select(func.setval(table.sequence, max(row["id"] for row in table.rows))))

    def here(url: str) -> str:
        return url.replace(done.app_url, bitrix24.app_url)

    was = done.application
    portal.application = replace(
        was,
        scopes=list(was.scopes),
        handlers=[replace(one, url=here(one.url)) for one in was.handlers],
        placements=[replace(one, url=here(one.url)) for one in was.placements],
        options=dict(was.options),
        seen_by=set(was.seen_by),
    )
    for pair in done.pairs:
        bitrix24.world.tokens.add(
            replace(
                pair,
                owner=replace(pair.owner),
                expires=pair.expires + passed,
                refresh_expires=pair.refresh_expires + passed,
            )
        )
    if portal.bucket is not None:
        portal.bucket.levels = {client: (level, at + passed) for client, (level, at) in done.levels.items()}
    for record in done.records:
        bitrix24.world.log.add(replace(record, at=record.at + passed))
    portal.finish_install()


def _moved(
    row: Mapping[str, Any], seconds: frozenset[str], passed: float, addresses: Mapping[str, str]
) -> dict[str, Any]:
    """Return a row as it would be now and here."""

    def moved(column: str, value: Any) -> Any:
        if isinstance(value, datetime):
            return value + timedelta(seconds=passed)
        if column in seconds:
            return value + passed
        return addresses.get(value, value) if isinstance(value, str) else value

    return {column: moved(column, value) for column, value in row.items()}
