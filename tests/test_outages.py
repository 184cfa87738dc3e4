"""A Postgres that stops answering, restarts or becomes a standby: waits end, and the next request works."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from app import create_app
from dashboard.core import config, logging_setup, migrations, postgres
from dashboard.core.database import Database, extend_time_limits
from dashboard.core.database_errors import MIN_SECONDS_BETWEEN, OutageLog, describe
from dashboard.core.postgres import CircuitBreaker
from tests.emulator import Emulator
from tests.wire import Wire
from tests.world import World

PASSWORD = "a-password-nobody-sees"
SECONDS = 1.0  # within which a busy machine, too, executes a statement


@pytest.fixture
def wire(migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Give a proxy in front of a migrated Postgres, with short timeouts."""
    monkeypatch.setattr(postgres, "PING_SECONDS", SECONDS)
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", SECONDS)
    monkeypatch.setattr(postgres, "GRACE_SECONDS", 0.0)
    hurried = {name: 2 if name == "connect_timeout" else value for name, value in postgres.DEFAULTS.items()}
    monkeypatch.setattr(postgres, "DEFAULTS", hurried)
    with Wire(migrated_postgres_url) as it:
        yield it


@pytest.fixture
def far_world(bitrix24: Emulator, wire: Wire) -> Iterator[World]:
    """Give an installed application whose database is behind the proxy."""
    with World(bitrix24, wire.url) as it:
        it.is_database_dirty = True
        it.install("alpha")
        yield it


def test_connections_that_a_firewall_dropped_are_replaced(far_world: World, wire: Wire) -> None:
    far_world.open("boris")
    wire.forget()
    began = time.monotonic()

    assert far_world.open("boris").status_code == 200
    assert time.monotonic() - began < 15 * SECONDS


def test_requests_end_while_the_server_is_silent_and_succeed_afterwards(far_world: World, wire: Wire) -> None:
    openings = [far_world.portal().open_as("boris") for _ in range(8)]
    wire.silent = True
    answers: list[int] = []
    began = time.monotonic()
    clients = [far_world.app.test_client() for _ in openings]
    threads = [
        threading.Thread(
            target=lambda client=client, opening=opening: answers.append(
                client.post("/", query_string=opening.query, data=opening.form).status_code
            )
        )
        for client, opening in zip(clients, openings, strict=True)
    ]
    for thread in threads:
        thread.start()
    assert far_world.browser.get("/healthz").status_code == 200
    assert time.monotonic() - began < SECONDS
    for thread in threads:
        thread.join()
    assert answers == [503] * 8
    assert time.monotonic() - began < 12  # were each to try for itself, it would be sixteen

    wire.silent = False
    assert far_world.open("boris").status_code == 200


def test_during_an_outage_only_one_thread_tries_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other threads fail after a moment, so that they can answer other requests."""
    monkeypatch.setattr(postgres, "RETRY_LOCK_SECONDS", 0.01)
    attempts, trying, goes_on = CircuitBreaker(psycopg.Error), threading.Event(), threading.Event()

    def fail() -> None:
        trying.set()
        goes_on.wait()
        raise psycopg.OperationalError("connection timeout expired")

    def make() -> None:
        with pytest.raises(psycopg.OperationalError, match="expired"):
            attempts.call(fail)

    goes_on.set()
    make()
    goes_on.clear()
    trying.clear()
    first = threading.Thread(target=make)
    first.start()
    trying.wait()
    with pytest.raises(psycopg.OperationalError, match="another thread"):
        attempts.call(lambda: "connected")
    goes_on.set()
    first.join()

    assert [attempts.call(lambda: "connected") for _ in range(2)] == ["connected"] * 2


def test_a_statement_without_an_answer_ends(wire: Wire) -> None:
    database = Database(wire.url)
    began = time.monotonic()
    with pytest.raises(OperationalError, match="in time"), database.read_session() as session:
        session.execute(text("SELECT 1"))
        wire.silent = True
        session.execute(text("SELECT 1"))
    assert time.monotonic() - began < 20

    wire.silent = False
    with database.read_session() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1
    database.engine.dispose()


def test_a_client_that_vanishes_in_a_transaction_keeps_no_lock(
    wire: Wire, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit the server's TCP would wait for hours, with a portal's row locked."""
    monkeypatch.setattr(postgres, "IDLE_SECONDS", SECONDS)
    lock = text("LOCK TABLE portals")
    vanished, other = Database(wire.url), Database(migrated_postgres_url)
    is_locked = False
    with suppress(DBAPIError), vanished.write_session() as session:
        session.execute(lock)
        wire.silent = True
        with other.write_session() as theirs:
            extend_time_limits(theirs.connection(), seconds=30)
            theirs.execute(lock)
            is_locked = True
    assert is_locked
    for database in (vanished, other):
        database.engine.dispose()


def test_a_copy_may_pause_in_its_transaction(migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "IDLE_SECONDS", 10.0)
    database = Database(migrated_postgres_url)
    with database.read_session() as session:
        assert session.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "10s"
        extend_time_limits(session.connection(), seconds=3600)
        assert session.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "1h"
    database.engine.dispose()


def test_connections_to_a_former_primary_are_replaced(far_world: World) -> None:
    """The old connections stay open and refuse to write; new ones reach the new primary."""
    opening = far_world.portal().open_as("boris")
    engine = far_world.database.engine
    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            connection.execute(text("SET default_transaction_read_only TO on"))
            connection.commit()

    assert far_world.post("/", opening).status_code == 503
    for _ in range(4):
        assert far_world.open("boris").status_code == 200


@pytest.mark.parametrize("code", ["25006", "57P01", "57P02", "57P03", "08006", "08P01"])
def test_all_connections_of_the_pool_are_replaced(migrated_postgres_url: str, code: str) -> None:
    database = Database(migrated_postgres_url)
    with database.engine.connect() as one, database.engine.connect() as other:
        idle = {one.scalar(text("SELECT pg_backend_pid()")), other.scalar(text("SELECT pg_backend_pid()"))}

    with pytest.raises(DBAPIError), database.read_session() as session:
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = '{code}'; END $$"))

    with database.engine.connect() as one, database.engine.connect() as other:
        now = {one.scalar(text("SELECT pg_backend_pid()")), other.scalar(text("SELECT pg_backend_pid()"))}
    assert not idle & now
    database.engine.dispose()


def test_sessions_that_the_server_ended_are_replaced(migrated_postgres_url: str) -> None:
    database = Database(migrated_postgres_url)
    with database.engine.connect() as one, database.engine.connect() as other:
        other.scalar(text("SELECT 1"))
        one.scalar(text("SELECT 1"))
    with psycopg.connect(migrated_postgres_url, autocommit=True) as stranger:
        stranger.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    for _ in range(3):
        with database.write_session() as session:
            session.execute(text("SELECT 1"))
    database.engine.dispose()


def test_statements_are_limited_without_start_up_options(migrated_postgres_url: str) -> None:
    """A pooler refuses those options, and a limit must end with its transaction."""
    database = Database(f"{migrated_postgres_url}&options=-cdefault_transaction_isolation%3Dserializable")
    with database.read_session() as session:
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == "15s"
        assert session.execute(text("SHOW jit")).scalar_one() == "off"
        assert session.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
        source = text("SELECT reset_val FROM pg_settings WHERE name = 'statement_timeout'")
        assert session.execute(source).scalar_one() == "0"
    database.engine.dispose()


def test_options_of_the_address_are_kept(postgres_url: str) -> None:
    options = "options=-csearch_path%3Dcalendar%20-cstatement_timeout%3D61000"
    database = Database(f"{postgres_url}&{options}")
    with database.read_session() as session:
        assert session.execute(text("SHOW search_path")).scalar_one() == "calendar"
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == "61s"
    database.engine.dispose()


def test_tables_are_created_in_the_schema_of_the_address(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA calendar")

    with _application(f"{postgres_url}&options=-csearch_path%3Dcalendar") as app:
        result = app.test_cli_runner().invoke(args=["db", "upgrade"])

    assert result.output == "The schema is up to date.\n"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        results = connection.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'people'")
        assert results.fetchall() == [("calendar",)]


# One-line messages

ENVIRONMENT = {
    "SECRET_KEY": "a signing key for tests alone",
    "TOKEN_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "BITRIX24_CLIENT_ID": "app.test.1",
    "BITRIX24_CLIENT_SECRET": "emulated-secret",
    "BITRIX24_AUTH_SERVERS": "http://127.0.0.1:1",
    "PUBLIC_URL": "http://127.0.0.1:1",
    "TRUST_LOOPBACK": "1",
    "LOG_LEVEL": "error",
    "LOG_FORMAT": "json",
}


def test_each_fault_of_an_address_has_its_message(wire: Wire, postgres_url: str) -> None:
    faults = {
        postgres_url.replace("/test_", "/missing_"): "the server has no database of that name",
        postgres_url.replace("postgres:@", f"nobody:{PASSWORD}@"): "refused this user or machine",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x": "no server listens",
        f"postgresql://me:{PASSWORD}@no-such-host.invalid/x": "name cannot be resolved",
        f"{wire.url}?sslmode=require": "the server does not support TLS",
        "sqlite:////proc/none/dashboard.db": "folder cannot be created",
    }

    lines = {address: _first_line(address, "db", "upgrade") for address in faults}

    for address, words in faults.items():
        assert lines[address].startswith("DATABASE_URL: "), lines[address]
        assert words in lines[address], lines[address]
        assert PASSWORD not in lines[address]
    assert len(set(lines.values())) == len(faults)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"postgresql://me:{PASSWORD}@db.example/x?pool_size=5", "does not know: pool_size"),
        (f"postgresql://me:p@{PASSWORD}@db.example/x", "raw @"),
        (f"postgresql://me:p@{PASSWORD}/q@db.example/x", "raw @"),
        (f"postgresql://me:p@x?{PASSWORD}=q@db.example/x", "raw @"),
    ],
)
def test_an_invalid_address_stops_the_start(address: str, words: str) -> None:
    with pytest.raises(config.ConfigError) as refused:
        config.load(ENVIRONMENT | {"DATABASE_URL": address})

    assert str(refused.value).startswith("DATABASE_URL: ")
    assert words in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("text_of_driver", "words"),
    [
        ('FATAL:  password authentication failed for user "me"', "refused the password"),
        ("fe_sendauth: no password supplied", "refused the password"),
        ('SSL error: certificate verify failed for "db.example"', "certificate was refused"),
        ('root certificate file "/x" does not exist', "certificate was refused"),
        ("FATAL:  unsupported startup parameter: options", "the pooler refuses"),
        ("FATAL:  sorry, too many clients already", "no more connections"),
        ("FATAL:  the database system is starting up", "is starting or stopping"),
        ("server login has been failing, try again later (server_login_retry)", "reaches no server"),
        ("connection timeout expired", "does not answer"),
        (f"quite another thing with {PASSWORD}", "refused (OperationalError)"),
    ],
)
def test_other_errors_of_the_driver_have_their_message(text_of_driver: str, words: str) -> None:
    line = describe(psycopg.OperationalError(text_of_driver))

    assert line.startswith("DATABASE_URL: ")
    assert words in line
    assert PASSWORD not in line


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (psycopg.errors.DiskFull(), "the disk is full (SQLSTATE 53100)"),
        (psycopg.errors.ConfigurationLimitExceeded(), "refused (configuration limit exceeded) (SQLSTATE 53400)"),
    ],
)
def test_a_sqlstate_is_named_in_words(error: psycopg.Error, words: str) -> None:
    assert describe(error).endswith(words)


def test_doctor_and_the_log_say_the_same(postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    missing = postgres_url.replace("/test_", "/missing_")
    line = _first_line(missing, "db", "upgrade")

    with _application(missing) as app:
        for _ in range(3):
            answer = app.test_client().get("/readyz").json
            assert answer and "database" in answer["down"]
        result = json.loads(app.test_cli_runner().invoke(args=["doctor", "--json"]).output)

    assert [one["says"] for one in result if one["what"] == "database"] == [line]
    logged = [one for one in _logged(capsys) if one["event"] == "database_away"]
    assert [one["reason"] for one in logged] == [line]


def test_a_table_that_another_session_has_locked_is_reported(
    bitrix24: Emulator, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logging_setup.configure(level="info", style="json")
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.2)
    with World(bitrix24, migrated_postgres_url) as world, world.database.engine.begin() as other:
        other.execute(text("LOCK TABLE people"))

        unready = world.browser.get("/readyz")
        again = world.browser.get("/readyz")
        other.rollback()
        ready = world.browser.get("/readyz")

    assert [answer.status_code for answer in (unready, again, ready)] == [503, 503, 200]
    assert capsys.readouterr().err.count("another session holds a lock") == 1


def test_an_outage_is_logged_once_a_minute_and_its_end_once(capsys: pytest.CaptureFixture[str]) -> None:
    logging_setup.configure(level="info", style="json")
    now = [0.0]
    outage = OutageLog(clock=lambda: now[0])

    for _ in range(60):
        outage.record_failure(psycopg.OperationalError("the server did not answer in time"))
        now[0] += MIN_SECONDS_BETWEEN / 30
    outage.record_success()
    outage.record_success()

    assert [(one["event"], one["failures"]) for one in _logged(capsys)] == [
        ("database_away", 1),
        ("database_away", 31),
        ("database_back", 60),
    ]


def _logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def _first_line(address: str, *words: str) -> str:
    """Return the only line that a command or the start prints."""
    try:
        with _application(address) as app:
            result = app.test_cli_runner().invoke(args=list(words))
    except SystemExit as stopped:
        return str(stopped)
    (line,) = result.output.splitlines()
    assert result.exit_code == 1
    return str(line)


@contextmanager
def _application(address: str) -> Iterator[Flask]:
    """Give an application with a database of its own, and close its connections."""
    created = config.load(ENVIRONMENT | {"DATABASE_URL": address})
    database = Database(address, connections=1)
    yield create_app(created, database=database)
    database.engine.dispose()


def test_every_character_is_sent_whatever_the_clients_encoding(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    database = Database(make_url(postgres_url).update_query_dict({"client_encoding": "LATIN1"}).render_as_string(False))

    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT CAST(:name AS text)"), {"name": "Олена 王"}) == "Олена 王"
    database.engine.dispose()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_store_every_character_is_refused(postgres_url: str, encoding: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    name = f"narrow_{uuid.uuid4().hex[:12]}"
    with engine.connect() as connection:
        options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(text(f"CREATE DATABASE {name} {options}"))
    database = Database(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))

    with pytest.raises(OperationalError) as refusal:
        migrations.upgrade(database)

    assert describe(refusal.value).startswith("DATABASE_URL: the database's encoding must be UTF8")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
