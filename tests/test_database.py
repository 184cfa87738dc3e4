"""The database: sessions, times and locks on SQLite and Postgres."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError, StatementError
from sqlalchemy.orm import Session

from dashboard.core import migrations
from dashboard.core import sqlite as sqlite_engine
from dashboard.core.database import MAX_BATCH_PAUSE_SECONDS, Base, Database, delete_in_batches, extend_time_limits
from dashboard.core.database_errors import describe
from dashboard.models import Person, Portal
from tests.waiting import HANG_SECONDS, replace_sleep

NOON = datetime(2026, 3, 29, 12, 0, 30, 123456, tzinfo=UTC)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """Give a migrated SQLite file."""
    yield from _migrated(sqlite_url)


@pytest.fixture
def each_database(database_url: str) -> Iterator[Database]:
    """Give a migrated database, once of each kind."""
    yield from _migrated(database_url)


def _migrated(url: str) -> Iterator[Database]:
    database = Database(url)
    migrations.upgrade(database)
    yield database
    database.engine.dispose()


def test_a_wrong_statement_is_no_outage(postgres_url: str) -> None:
    """It keeps its type, so that a request shows it with a stack trace; a missing table does not."""
    database = Database(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    for statement, kind in (("SELEKT 1", ProgrammingError), ("SELECT 1 FROM missing", OperationalError)):
        with pytest.raises(kind), database.read_session() as session:
            session.execute(text(statement))
    database.engine.dispose()


def alpha(**changes: object) -> Portal:
    values: dict[str, object] = {
        "member_id": "alpha",
        "origin": "https://alpha.example",
        "authorization_server": "https://oauth.example",
        "installed_at": NOON,
        "proven_at": NOON,
    }
    return Portal(**(values | changes))


def test_a_committed_row_is_read(each_database: Database) -> None:
    with each_database.write_session() as session:
        session.add(alpha())

    with each_database.read_session() as session:
        assert session.scalars(select(Portal.member_id)).all() == ["alpha"]


def test_an_error_rolls_back(each_database: Database) -> None:
    with pytest.raises(LookupError), each_database.write_session() as session:
        session.add(alpha())
        session.flush()
        raise LookupError

    with each_database.read_session() as session:
        assert session.scalars(select(Portal)).all() == []


def test_changes_of_a_reader_are_rolled_back(each_database: Database) -> None:
    with each_database.read_session() as session:
        session.add(alpha())
        session.flush()

    with each_database.read_session() as session:
        assert session.scalars(select(Portal)).all() == []


def test_errors_do_not_quote_values(each_database: Database) -> None:
    with pytest.raises(DBAPIError) as caught, each_database.write_session() as session:
        session.execute(text("SELECT no_such_column FROM portals WHERE origin = :it"), {"it": "nobody-sees"})

    assert "nobody-sees" not in str(caught.value)


# Times


def test_times_are_read_in_utc(each_database: Database) -> None:
    zones = [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))]
    with each_database.write_session() as session:
        session.add_all(
            alpha(member_id=str(number), installed_at=NOON.astimezone(zone)) for number, zone in enumerate(zones)
        )

    with each_database.read_session() as session:
        for stored in session.scalars(select(Portal.installed_at)):
            assert (stored, stored.utcoffset()) == (NOON, timedelta(0))


def test_times_in_different_zones_are_compared(each_database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    with each_database.write_session() as session:
        session.add(alpha())

    with each_database.read_session() as session:
        for moment in (NOON, NOON.astimezone(tokyo)):
            assert session.scalars(select(Portal.id).where(Portal.installed_at == moment)).all()
            later = moment + timedelta(microseconds=1)
            assert session.scalars(select(Portal.id).where(Portal.installed_at < later)).all()
            assert not session.scalars(select(Portal.id).where(Portal.installed_at < moment)).all()


def test_a_time_without_a_zone_is_refused(each_database: Database) -> None:
    with pytest.raises(StatementError, match="needs its zone"), each_database.write_session() as session:
        session.add(alpha(installed_at=NOON.replace(tzinfo=None)))

    with each_database.read_session() as session, pytest.raises(StatementError, match="needs its zone"):
        session.scalars(select(Portal).where(Portal.installed_at < NOON.replace(tzinfo=None))).all()


# SQLite


def test_sqlite_is_set_up_on_every_connection(database: Database) -> None:
    wanted = {"journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1}

    with database.read_session() as one, database.write_session() as other:
        for session in (one, other):
            values = {name: session.execute(text(f"PRAGMA {name}")).scalar_one() for name in wanted}
            assert values == wanted


def test_others_write_between_two_batches_of_a_deletion(
    each_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite a thread that takes the lock again at once leaves it to nobody."""
    monkeypatch.setattr("dashboard.core.database.DELETE_BATCH_ROWS", 2)
    left: list[int] = []

    def write_meanwhile(seconds: float) -> None:
        with each_database.write_session() as session:
            left.append(session.scalar(text("SELECT count(*) FROM portals")) or 0)
        assert 0 < seconds <= MAX_BATCH_PAUSE_SECONDS

    replace_sleep(monkeypatch, "dashboard.core.database", write_meanwhile)
    with each_database.write_session() as session:
        session.add_all(alpha(member_id=str(number)) for number in range(5))

    assert delete_in_batches(each_database, Portal, Portal.generation == 1) == 5
    assert left == [3, 1]


def test_sqlite_waits_for_the_disk_only_in_durable_transactions(database: Database) -> None:
    """2 is FULL: the commit is on the disk; 1 is NORMAL. Alternating, because they share a connection."""
    levels = []
    for durable in (True, False, True):
        with database.write_session(durable=durable) as session:
            levels.append(session.execute(text("PRAGMA synchronous")).scalar_one())

    assert levels == [2, 1, 2]


def test_postgres_waits_for_the_disk_only_in_durable_transactions(postgres_url: str) -> None:
    database, seen = Database(postgres_url), "SELECT string_agg(setting, ' ' ORDER BY id) FROM seen"
    with database.write_session() as session:
        session.connection().exec_driver_sql(
            "CREATE TABLE seen (id serial, setting text);"
            "CREATE TABLE written (id serial);"
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO seen (setting) VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON written DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION see()"
        )

    write = text("INSERT INTO written DEFAULT VALUES")
    for durable in (True, False, True, False):
        with database.write_session(durable=durable) as session:
            session.execute(write)
    with database.engine.begin() as connection:  # has no options, and the driver's connection of the one before
        connection.execute(write)

    with database.read_session() as session:
        assert session.scalar(text(seen)) == "on off on off on"
    database.engine.dispose()


def test_only_a_migration_creates_the_file_and_its_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("new") / "var" / "deep" / "dashboard.db"
    database = Database(f"sqlite:///{file}")
    with pytest.raises(OperationalError, match="it is not there"):
        database.engine.connect()
    assert not file.parent.parent.exists()

    migrations.upgrade(database)

    assert file.exists()
    database.engine.dispose()


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0o022)
    database = Database(f"sqlite:///{tmp_path / 'data' / 'dashboard.db'}")
    database.create_file()
    with database.write_session() as session:
        session.execute(text("CREATE TABLE made (id INTEGER)"))
    os.umask(before)

    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "data").iterdir()}
    assert modes == {
        "dashboard.db": 0o600,
        "dashboard.db-wal": 0o600,
        "dashboard.db-shm": 0o600,
    }
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o750
    database.engine.dispose()


def test_connections_to_a_removed_or_replaced_file_are_dropped(database: Database, tmp_path: Path) -> None:
    """The open connections still reach the removed file, and would store rows that nobody finds."""
    file = Path(database.engine.url.database or "")
    with database.write_session() as session:
        session.add(alpha())

    shutil.move(file, tmp_path / "elsewhere")
    with pytest.raises(OperationalError, match="not there"), database.write_session() as session:
        session.add(alpha(member_id="lost"))
    shutil.copyfile(tmp_path / "elsewhere", file)
    with database.write_session() as session:
        session.add(alpha(member_id="kept"))

    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT member_id FROM portals").fetchall()[-1] == ("kept",)


def test_sqlite_enforces_foreign_keys(database: Database) -> None:
    nobodys = Person(portal_id=404, user_id=1, name="Anna", is_admin=True, time_zone="", language="en", opened_at=NOON)

    with pytest.raises(IntegrityError), database.write_session() as session:
        session.add(nobodys)


def test_a_write_session_takes_the_lock_at_its_start(database: Database, sqlite_url: str) -> None:
    stranger = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)

    with database.write_session() as session:
        # The session has only read so far, but the next writer must wait already.
        assert session.scalars(select(Portal)).all() == []
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            stranger.execute("BEGIN IMMEDIATE")

    stranger.execute("BEGIN IMMEDIATE")
    stranger.close()


def test_a_lock_held_by_another_process_is_an_operational_error(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.core.sqlite.BUSY_SECONDS", 0.05)
    database = next(_migrated(sqlite_url))
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(OperationalError, match="locked"), database.write_session() as session:
        session.add(alpha())

    other.execute("ROLLBACK")
    with database.write_session() as session:
        session.add(alpha())
    other.close()
    database.engine.dispose()


def test_a_lock_held_by_another_thread_is_an_operational_error(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.core.sqlite.BUSY_SECONDS", 0.05)

    with database.write_session(), ThreadPoolExecutor(1) as other:
        assert isinstance(other.submit(_write_alpha, database).exception(timeout=HANG_SECONDS), OperationalError)

    _write_alpha(database)


def _write_alpha(database: Database) -> None:
    with database.write_session() as session:
        session.add(alpha())


def test_a_read_session_takes_no_lock(database: Database, sqlite_url: str) -> None:
    stranger = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)

    with database.read_session() as session:
        assert session.scalars(select(Portal)).all() == []
        stranger.execute("BEGIN IMMEDIATE")

    stranger.close()


def test_readers_see_the_last_commit_during_a_write(database: Database) -> None:
    with database.write_session() as writer:
        writer.add(alpha())
        writer.flush()
        with database.read_session() as reader:
            assert reader.scalars(select(Portal)).all() == []


def test_concurrent_writers_lose_no_update(database: Database) -> None:
    with database.write_session() as session:
        session.add(alpha(generation=0))
    together = threading.Barrier(4)

    def count() -> None:
        together.wait()
        for _ in range(10):
            # Two concurrent increments would write the same value.
            with database.write_session() as session:
                session.scalars(select(Portal)).one().generation += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read_session() as session:
        assert session.scalars(select(Portal.generation)).one() == 40


def test_deleted_rows_are_not_left_in_the_files(database: Database, sqlite_url: str) -> None:
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    with database.write_session() as session:
        session.add(alpha(origin="https://nobody-sees.example"))
    with database.write_session() as session:
        session.delete(session.scalars(select(Portal)).one())

    database.checkpoint_wal()

    for path in file.parent.glob(f"{file.name}*"):
        assert b"nobody-sees" not in path.read_bytes()


# Names


def test_every_constraint_is_named_by_rule() -> None:
    for table in Base.metadata.tables.values():
        names = [constraint.name for constraint in table.constraints]
        names += [index.name for index in table.indexes]
        assert {str(name).split("_")[0] for name in names} <= {"ix", "uq", "ck", "fk", "pk"}, table.name


# Some seconds, so that a test whose statement is not ended fails instead of never ending.
SLOW = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000000) SELECT count(*) FROM n")
# At least 0.05 seconds.
LONG = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500000) SELECT count(*) FROM n")


def test_a_slow_read_is_ended(database: Database) -> None:
    database.limit_reads(seconds=0.01)

    with database.read_session() as session:
        # Each statement has its own time.
        for _ in range(2):
            with pytest.raises(OperationalError) as ended:
                session.execute(SLOW)
            assert describe(ended.value).startswith("DATABASE_URL: a statement took too long")
        assert session.scalar(text("SELECT 1")) == 1


def test_a_slow_write_is_ended_and_leaves_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_engine, "STATEMENT_SECONDS", 0.01)

    with pytest.raises(OperationalError), database.write_session() as session:
        session.add(alpha())
        session.flush()
        session.execute(SLOW)

    with database.write_session() as session:
        assert session.scalars(select(Portal)).all() == []
        session.add(alpha())


def test_a_raised_limit_ends_with_its_transaction(database: Database) -> None:
    database.limit_reads(seconds=0.01)

    with database.read_session() as session:
        extend_time_limits(session.connection(), seconds=60)
        assert session.scalar(LONG) == 500_000
    with database.engine.connect() as connection:  # has not begun
        extend_time_limits(connection, seconds=60)
        assert connection.scalar(LONG) == 500_000
    with database.read_session() as session, pytest.raises(OperationalError):
        session.execute(LONG)


def test_reads_alone_have_the_lower_limit(database: Database) -> None:
    database.limit_reads(seconds=0.01)

    with database.write_session() as session:
        assert session.scalar(LONG) == 500_000


def test_migrations_may_take_longer(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    seconds: list[float] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("CREATE"):
            seconds.append(sqlite_engine.timer_of(connection).seconds)

    database.create_file()
    migrations.upgrade(database)
    database.engine.dispose()

    assert seconds
    assert set(seconds) == {migrations.MAX_SECONDS}


@pytest.mark.parametrize("session_of", [Database.read_session, Database.write_session], ids=["read", "write"])
def test_a_transaction_on_an_idle_connection_begins(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, session_of: Callable[[Database], AbstractContextManager[Session]]
) -> None:
    """SQLite calls the progress handler there too, once in thousands of times."""
    monkeypatch.setattr(sqlite_engine, "INSTRUCTIONS_PER_CHECK", 1)
    database = Database(sqlite_url)
    database.create_file()
    with session_of(database) as session:
        timer = sqlite_engine.timer_of(session.connection())
    timer._deadline = 0.0  # long ago

    with session_of(database) as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.engine.dispose()


def test_a_missing_file_ends_no_checkpoint_with_an_error(database: Database) -> None:
    """The thread of spooled events would end with it."""
    database.engine.dispose()
    assert database.engine.url.database
    Path(database.engine.url.database).unlink()

    database.checkpoint_wal()

    assert database._is_checkpoint_due
