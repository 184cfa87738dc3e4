"""Migrations: in both directions, on both databases, with data, and equal to the models."""

from __future__ import annotations

import hashlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DeadlockDetected
from sqlalchemy import event, inspect, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from dashboard.core import migrations
from dashboard.core.database import Base, Database
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World

HISTORIC = Path(__file__).parent / "historic"
# Databases exist that were made by them, so every change is a new migration.
LANDED = {
    "0001_first_tables": "6b3f648f0da8b8eef5a59aed0b78748555a6893dc4b1e7df124d6449d6033822",
    "0002_team": "972bf6519053f35138ec17bf577b2ca2250c6cde3983b3b59cf2ec3b2573380d",
    "0003_refusals": "81905441ecb05d09f481f388066d5609af1edbf9d28de826b14df5f63bbb981e",
    "0004_tallies": "cda4b68edef78345c21d42d378ebc54830f4cb1904173987429af044c681bba2",
    "0005_health": "b230ced02058396dd81ff3b41c19acc7cbb79630308e93a969ef55f10ef6bb03",
    "0006_call_log_space": "16d4b6ea2dfb7cf0169cc5ef7733d68536e4b50840fb9c72b992e4c1f991bb58",
    "0007_repair": "50cab8ed278d0a08f1db835e7f06b5b97a83752e4402d3a66751595cba086698",
    "0008_confirmed_users": "f8c03948fb9fdc7747a3c4a818b8e9447f0d49da62b89e88473af305ab689bff",
    "0009_stored_bytes": "7c2dc03d734f80d7da8bb303310ecb2eccb307a684cad23816b3bc95fcc37547",
    "0010_lists_in_parts": "889834d85296115ca67a30294e74aa658b0a1f67e54bc269d18337d932a6dd3f",
    "0011_believed_zones": "72ec888e7d62fb5900ef84b1d9192a2d98c1c83d0a0513113363b9c16b429f92",
    "0012_departments": "7cb7aab6ad020c56c47f479050346bcbe597330cd67ae65693657848fa874722",
    "0013_changes": "bee3bae4bd5722629750f69b3ff204176850d35b3ee33084ea3d76f8ff3eef4a",
}


def test_released_migrations_do_not_change() -> None:
    files = sorted(migrations.MIGRATIONS.glob("versions/[0-9]*.py"))

    assert {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files} == LANDED


@pytest.mark.parametrize(
    ("first", "second"),
    [("0001-1", f"0002-{number}") for number in range(1, 6)] + [("0001-1", None), (None, "0002-1")],
)
def test_a_database_of_any_earlier_form_is_repaired(
    first: str | None,
    second: str | None,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0001 and 0002 were edited after their release, and databases of the earlier forms exist."""
    database = Database(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", historic(tmp_path, {"0001": first, "0002": second}))
        migrations.upgrade(database, "0001")
        with database.engine.begin() as connection:
            portal = OLD if first else OLD | {"proven_at": NOON}
            inserted = f"INSERT INTO portals ({', '.join(portal)}) VALUES ({', '.join(portal.values())})"
            for statement in (inserted, *PEOPLE):
                connection.execute(text(statement))
        migrations.upgrade(database, "0005")
    migrations.upgrade(database)

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert connection.execute(text("SELECT proven_at = installed_at FROM portals")).scalar_one()
        stored = connection.execute(text("SELECT user_id, access_token FROM people JOIN chains ON person_id = id"))
        assert stored.all() == [(7, "sealed")]
        if database.engine.dialect.name == "sqlite":
            assert connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'people'")).all() == [(1,)]
    assert migrations.missing_columns(database) == ()
    database.engine.dispose()


NOON = "'2026-03-29 12:00:00'"
OLD = {
    "member_id": "'old'",
    "origin": "'https://old.example'",
    "authorization_server": "'https://oauth.example'",
    "app_status": "'F'",
    "state": "'active'",
    "generation": "1",
    "installed_at": NOON,
}
PEOPLE = (
    "INSERT INTO people (portal_id, user_id, name, is_admin, time_zone, language, opened_at)"
    f" VALUES (1, 7, 'Anna', true, '', 'en', {NOON})",
    "INSERT INTO chains (person_id, access_token, expires_at, renewed_at, state, version)"
    f" VALUES (1, 'sealed', {NOON}, {NOON}, 'live', 1)",
)


def historic(folder: Path, forms: dict[str, str | None]) -> Path:
    """Return the folder of migrations up to 0005, with the named forms of the first ones."""
    shutil.copytree(migrations.MIGRATIONS, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (folder / "migrations" / "versions").glob("[0-9]*.py"):
        number = file.name.partition("_")[0]
        if form := forms.get(number):
            shutil.copyfile(HISTORIC / f"{form}.txt", file)
        elif number > "0005":
            file.unlink()
    return folder / "migrations"


@pytest.mark.parametrize("lost", ["ALTER TABLE people DROP COLUMN habits", "DROP TABLE tallies"])
def test_a_schema_that_lacks_something_is_not_compatible(each_world: World, lost: str) -> None:
    each_world.is_database_dirty = True
    with each_world.database.engine.begin() as connection:
        if "habits" in lost:
            connection.execute(text("DROP INDEX ix_people_habits"))
        connection.execute(text(lost))

    assert migrations.is_current(each_world.database)
    assert not migrations.is_compatible(each_world.database)
    assert each_world.browser.get("/readyz").json == {"status": "unready", "down": ["migrations"]}
    result = each_world.app.test_cli_runner().invoke(args=["doctor"])
    assert result.exit_code == 1
    assert f"the schema lacks {'people.habits' if 'habits' in lost else 'tallies'}" in result.output


def test_after_a_rollback_a_newer_schema_is_accepted(each_world: World) -> None:
    """A platform runs `db upgrade` of the older version, which must not refuse the rollback."""
    each_world.is_database_dirty = True
    with each_world.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    result = each_world.app.test_cli_runner().invoke(args=["db", "upgrade"])

    assert (result.exit_code, len(result.output.splitlines())) == (0, 1)
    assert "9999" in result.output
    assert each_world.one("SELECT version_num FROM alembic_version") == "9999"


def test_a_newer_schema_that_lacks_something_is_refused(each_world: World) -> None:
    each_world.is_database_dirty = True
    with each_world.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("DROP TABLE tallies"))

    result = each_world.app.test_cli_runner().invoke(args=["db", "upgrade"])

    assert (result.exit_code, "lacks tallies" in result.output) == (1, True)


def test_the_schema_matches_the_models(each_world: World) -> None:
    with each_world.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, Base.metadata) == []


def test_each_migration_works_in_both_directions_with_data(each_world: World) -> None:
    each_world.open("boris")
    steps = list(ScriptDirectory(str(migrations.MIGRATIONS)).walk_revisions())

    for step in steps:
        migrations.downgrade(each_world.database, str(step.down_revision or "base"))
    assert set(inspect(each_world.database.engine).get_table_names()) == {"alembic_version"}
    migrations.upgrade(each_world.database)

    assert migrations.is_current(each_world.database)
    assert each_world.install().status_code == 200
    assert each_world.open("boris").status_code == 200


def test_each_migration_keeps_the_previous_version_working(database_url: str) -> None:
    """The previous version serves requests during the migration: it needs its columns, and no other may be required.

    Nor may it wait. What reads or writes a whole table is not part of a new migration: CONTRIBUTING.md says what to do.
    """
    database = Database(database_url.replace("postgresql:", "postgresql+psycopg:"))
    first, *later = reversed(migrations.known_revisions())
    migrations.upgrade(database, first)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    locking = set()

    for step in later:
        before = columns(database)
        statements.clear()
        migrations.upgrade(database, step)
        locked = {"".join(tables) for statement in statements for tables in LOCKING.findall(statement)}
        if locked & set(before) - {"alembic_version"}:
            locking.add(step)
        after = columns(database)
        for table in before:
            assert set(before[table]) <= set(after[table]), step
            for name, needed in after[table].items():
                assert not needed or before[table].get(name), f"{step}: {table}.{name} must be told now"

    assert migrations.is_current(database)
    assert {"0011", "0013"} <= locking  # the check finds those that landed before it
    assert max(locking) <= "0013"
    database.engine.dispose()


# An index that is built, rows that are changed, and columns or constraints that are checked row by row.
LOCKING = re.compile(
    r"CREATE (?:UNIQUE )?INDEX \S+ ON (\w+)"
    r"|UPDATE (\w+) SET|DELETE FROM (\w+)"
    r"|ALTER TABLE (\w+) (?:ALTER COLUMN|ADD CONSTRAINT|RENAME)"
)


def test_openings_continue_while_a_migration_waits_for_a_reader(
    migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as pg_dump, or a transaction that somebody has left open."""
    database = Database(migrated_postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    migrations.downgrade(database, "0007")
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(migrations, "LOCK_PAUSE_SECONDS", 0.05)
    read = text("SELECT count(*) FROM people")
    with ThreadPoolExecutor(1) as pool, capture_logs() as logs:
        with database.engine.connect() as reader:
            reader.execute(read)
            with monkeypatch.context() as patched, pytest.raises(migrations.CannotMigrate, match="ALTER TABLE people"):
                patched.setattr(migrations, "MAX_LOCK_WAIT_SECONDS", 0.0)
                migrations.upgrade(database)
            upgrade = pool.submit(migrations.upgrade, database)
            wait_until(lambda: _waits_for_table(database))
            with database.engine.begin() as opening:
                opening.execute(text("SET LOCAL statement_timeout = '5s'"))
                assert opening.execute(read).scalar_one() == 0
            assert not migrations.is_current(database)
        upgrade.result(timeout=HANG_SECONDS)

    assert migrations.is_current(database)
    assert [entry["event"] for entry in logs] == ["migration_waits_for_lock"]
    database.engine.dispose()


def test_a_migration_that_loses_a_deadlock_is_tried_again(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A downgrade locks the tables in another order than the live application."""
    database = Database(postgres_url)
    migrate, attempts = migrations._try_to_migrate, []

    def lose_the_first_time(*arguments: Any) -> None:
        attempts.append(arguments)
        if len(attempts) == 1:
            raise OperationalError("ALTER TABLE people", None, DeadlockDetected())
        migrate(*arguments)

    monkeypatch.setattr(migrations, "_try_to_migrate", lose_the_first_time)
    monkeypatch.setattr(migrations, "LOCK_PAUSE_SECONDS", 0.0)

    migrations.upgrade(database)

    assert len(attempts) == 1 + len(migrations.known_revisions())
    assert migrations.is_current(database)
    database.engine.dispose()


def test_each_migration_releases_its_locks(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one transaction, the lock of an early ALTER TABLE would last until the last index is built."""
    database = Database(postgres_url)
    migrate, locked = migrations._try_to_migrate, []
    locks = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
        " WHERE mode = 'AccessExclusiveLock' AND datname = current_database()"
    )

    def look_afterwards(*arguments: Any) -> None:
        migrate(*arguments)
        with database.engine.connect() as connection:
            locked.append(connection.scalar(locks))

    monkeypatch.setattr(migrations, "_try_to_migrate", look_afterwards)

    migrations.upgrade(database, "0002")
    migrations.upgrade(database)
    migrations.upgrade(database, "0005")

    assert locked == [0] * (len(migrations.known_revisions()))
    assert migrations.is_current(database)
    database.engine.dispose()


def _waits_for_table(database: Database) -> bool:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")
    with database.engine.connect() as connection:
        return bool(connection.execute(waiting).scalar_one())


def columns(database: Database) -> dict[str, dict[str, bool]]:
    """Return each table's columns, and whether an INSERT must name them."""
    result = inspect(database.engine)
    return {
        table: {
            column["name"]: not column["nullable"] and column["default"] is None for column in result.get_columns(table)
        }
        for table in result.get_table_names()
    }


def test_a_second_upgrade_changes_nothing(each_world: World) -> None:
    each_world.open("boris")

    migrations.upgrade(each_world.database)

    assert each_world.one("SELECT count(*) FROM people") == 2


def test_an_empty_database_is_not_current(database_url: str) -> None:
    database = Database(database_url.replace("postgresql:", "postgresql+psycopg:"))
    database.create_file()

    assert not migrations.is_current(database)
    database.engine.dispose()


def test_files_are_numbered_in_order() -> None:
    steps = ScriptDirectory(str(migrations.MIGRATIONS)).walk_revisions()

    assert migrations.known_revisions() == tuple(step.revision for step in steps)


def test_an_empty_database_has_no_revision(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.create_file()

    assert migrations.revision(database) is None
