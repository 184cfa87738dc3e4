"""Indexes that an upgrade builds after its migrations, because a migration would lock the table meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from dashboard.core import migrations, missing_indexes
from dashboard.core.database import Database
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World

INDEX = "ix_people_team"


def test_an_upgrade_builds_a_missing_index(each_world: World) -> None:
    drop_index(each_world.database)

    migrations.upgrade(each_world.database)

    assert missing_indexes.missing_indexes(each_world.database) == []


def test_no_unique_index_is_built(world: World) -> None:
    """The model does not say that a run's is for unfinished runs alone: with all, nobody could start a second run."""
    with world.database.engine.begin() as connection:
        connection.execute(text("DROP INDEX uq_runs_unfinished"))

    migrations.upgrade(world.database)

    assert world.rows("SELECT name FROM sqlite_master WHERE name = 'uq_runs_unfinished'") == []


def test_an_interrupted_build_is_repeated(migrated_postgres_url: str) -> None:
    """Postgres keeps the index that it has not finished, and no query uses it."""
    database = Database(migrated_postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{INDEX}'::regclass"))
    assert [index.name for index in missing_indexes.missing_indexes(database)] == [INDEX]

    migrations.upgrade(database)

    assert missing_indexes.missing_indexes(database) == []
    database.engine.dispose()


def test_others_write_while_two_releases_build_an_index(
    migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(migrated_postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    monkeypatch.setattr(missing_indexes, "LOCK_POLL_SECONDS", 0.02)
    drop_index(database)
    write = text("UPDATE people SET view = view")
    builds: list[str] = []
    execute = database.execute_outside_transaction

    def build(*statements: str, seconds: float) -> None:
        builds.append(statements[-1])
        execute(*statements, seconds=seconds)

    monkeypatch.setattr(database, "execute_outside_transaction", build)

    with ThreadPoolExecutor(2) as pool:
        with database.engine.begin() as earlier:
            earlier.execute(write)
            releases = [pool.submit(migrations.upgrade, database) for _ in range(2)]
            wait_until(lambda: is_waiting(database, "CREATE INDEX"))
            with database.engine.begin() as opening:
                opening.execute(write)  # fails after two seconds if it has to wait
        for release in releases:
            release.result(timeout=HANG_SECONDS)

    assert missing_indexes.missing_indexes(database) == []
    assert len(builds) == 1
    database.engine.dispose()


def drop_index(database: Database) -> None:
    """Have the database lack an index."""
    with database.engine.begin() as connection:
        connection.execute(text(f"DROP INDEX {INDEX}"))
    assert [index.name for index in missing_indexes.missing_indexes(database)] == [INDEX]


def is_waiting(database: Database, statement: str) -> bool:
    """Tell whether such a statement waits for another session."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock' AND query LIKE :statement"
    )
    with database.engine.connect() as connection:
        return bool(connection.scalar(waiting, {"statement": f"{statement}%"}))
