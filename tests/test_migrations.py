"""Migrations: forwards and back, on both databases, with data in the tables, and true to the models."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from dashboard import schema
from dashboard.db import Base, Database
from tests.world import World


def test_the_schema_is_what_the_models_say(each_world: World) -> None:
    with each_world.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, Base.metadata) == []


def test_each_step_goes_back_and_forth_with_data_in_the_tables(each_world: World) -> None:
    each_world.open("boris")
    steps = list(ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions())

    for step in steps:
        schema.downgrade(each_world.database, str(step.down_revision or "base"))
    assert set(inspect(each_world.database.engine).get_table_names()) == {"alembic_version"}
    schema.upgrade(each_world.database)

    assert schema.is_current(each_world.database)
    assert each_world.install().status_code == 200
    assert each_world.open("boris").status_code == 200


def test_each_step_leaves_the_version_before_it_working(database_url: str) -> None:
    """That one serves while the release migrates: it must find all it knows, and may leave out the rest."""
    database = Database(database_url.replace("postgresql:", "postgresql+psycopg:"))
    first, *later = reversed(schema.known())
    schema.upgrade(database, first)

    for step in later:
        before = columns(database)
        schema.upgrade(database, step)
        after = columns(database)
        for table in before:
            assert set(before[table]) <= set(after[table]), step
            for name, needed in after[table].items():
                assert not needed or before[table].get(name), f"{step}: {table}.{name} must be told now"

    assert schema.is_current(database)
    database.engine.dispose()


def columns(database: Database) -> dict[str, dict[str, bool]]:
    """Return each table's columns, and whether an INSERT has to tell it."""
    found = inspect(database.engine)
    return {
        table: {
            column["name"]: not column["nullable"] and column["default"] is None
            for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }


def test_twice_changes_nothing(each_world: World) -> None:
    each_world.open("boris")

    schema.upgrade(each_world.database)

    assert each_world.one("SELECT count(*) FROM people") == 2


def test_an_empty_database_is_not_current(database_url: str) -> None:
    database = Database(database_url.replace("postgresql:", "postgresql+psycopg:"))

    assert not schema.is_current(database)
    database.engine.dispose()


def test_the_files_are_named_as_the_steps_follow_each_other() -> None:
    steps = ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions()

    assert schema.known() == tuple(step.revision for step in steps)


def test_where_no_schema_is_there_is_no_revision(sqlite_url: str) -> None:
    assert schema.revision(Database(sqlite_url)) is None
