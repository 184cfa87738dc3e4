"""`db copy`: everything is copied and compared, and nothing is overwritten."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from pydantic import SecretStr
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url

from app import create_app
from dashboard.core import config, database_copy, migrations
from dashboard.core.config_types import parse_database_url
from dashboard.core.database import Base, Database
from dashboard.models import Person, Tally
from tests.emulator import Emulator
from tests.world import World


def opened(url: str) -> Database:
    return Database(parse_database_url(SecretStr(url)).get_secret_value())


@pytest.fixture
def target_url(request: pytest.FixtureRequest, each_world: World, tmp_path: Path) -> str:
    """Give an empty database of the other kind."""
    if each_world.database.engine.dialect.name == "sqlite":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'elsewhere' / 'copy.db'}"


@pytest.fixture
def target(target_url: str) -> Iterator[Database]:
    database = opened(target_url)
    yield database
    database.engine.dispose()


def copy(world: World, url: str, *options: str) -> Result:
    runner = world.app.test_cli_runner(env={"COPY_TARGET_URL": url})
    return runner.invoke(args=["db", "copy", "--yes", *options])


def contents(database: Database) -> dict[str, set[str]]:
    with database.engine.connect() as connection:
        return {
            table.name: {repr(dict(row)) for row in connection.execute(select(table)).mappings()}
            for table in Base.metadata.sorted_tables
        }


def test_a_database_is_copied_in_both_directions(each_world: World, target_url: str, target: Database) -> None:
    each_world.open("boris")
    each_world.install("beta")

    result = copy(each_world, target_url)

    assert result.exit_code == 0, result.output
    assert contents(target) == contents(each_world.database)
    assert "people" in result.output


def test_the_application_continues_on_the_copy(each_world: World, target_url: str, target: Database) -> None:
    session = each_world.session("boris")
    assert copy(each_world, target_url).exit_code == 0

    moved = create_app(config.load(each_world.environment | {"DATABASE_URL": target_url}), database=target)
    browser = moved.test_client()

    each_world.portal().expire("boris")
    assert browser.post("/me/refresh", headers=session).status_code == 200
    opening = each_world.portal().open_as("olena")
    assert browser.post("/", query_string=opening.query, data=opening.form).status_code == 200


def test_ids_of_deleted_people_are_not_reused(each_world: World, target_url: str, target: Database) -> None:
    each_world.open("boris")
    highest = each_world.one("SELECT max(id) FROM people")
    with each_world.database.write_session() as session:
        session.execute(text("DELETE FROM people WHERE id = :id"), {"id": highest})

    assert copy(each_world, target_url).exit_code == 0

    with target.write_session() as session:
        new = Person(portal_id=1, user_id=99, name="", is_admin=False, time_zone="", language="")
        session.add(new)
        session.flush()
        assert new.id == highest + 1


def test_rows_are_copied_in_batches(each_world: World, target: Database) -> None:
    for person in ("boris", "olena", "julia", "marcus"):
        each_world.open(person)
    # The two databases sort text differently.
    with each_world.database.write_session() as session:
        session.add_all(Tally(series="words", labels=word, value=1) for word in ("a", "B", "c", "é", "z", "_"))

    counts = database_copy.copy(each_world.database, target, batch=2)

    assert (counts["people"], counts["tallies"]) == (5, 6)
    assert contents(target) == contents(each_world.database)


def test_a_target_with_rows_is_refused_and_unchanged(world: World, bitrix24: Emulator, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'used.db'}"
    with World(bitrix24, url) as used:
        used.install("beta")
        before = contents(used.database)

        result = copy(world, url)

        assert result.exit_code == 1
        assert "not empty" in result.output
        assert contents(used.database) == before


def test_a_target_with_other_tables_is_refused(world: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    other = opened(url)
    other.create_file()
    with other.engine.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    other.engine.dispose()

    result = copy(world, url)

    assert result.exit_code == 1
    assert "something else" in result.output


def test_a_target_that_cannot_be_created_is_one_line(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = copy(world, f"sqlite:///{tmp_path / 'file' / 'copy.db'}")

    assert result.exit_code == 1
    assert result.output == "Error: The target's folder cannot be created (FileExistsError).\n"


def test_a_source_that_is_not_migrated_is_refused(world: World, tmp_path: Path) -> None:
    migrations.downgrade(world.database, "-1")

    result = copy(world, f"sqlite:///{tmp_path / 'copy.db'}")

    assert result.exit_code == 1
    assert "migrate it first" in result.output


def test_a_copy_that_differs_is_rolled_back(world: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    target = opened(url)
    migrations.upgrade(target)
    with target.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER forger AFTER INSERT ON people BEGIN"
                " UPDATE people SET name = 'Mallory' WHERE id = NEW.id; END"
            )
        )

    result = copy(world, url)

    assert result.exit_code == 1
    assert "people differs after the copy" in result.output
    assert all(not rows for rows in contents(target).values())
    target.engine.dispose()


def test_the_address_is_asked_for_and_never_printed(world: World) -> None:
    runner = world.app.test_cli_runner()
    password = "a-password-nobody-sees"

    typed = runner.invoke(args=["db", "copy", "--yes"], input=f"postgres://me:{password}@127.0.0.1:1/x\n")
    malformed = runner.invoke(args=["db", "copy", "--yes"], input=f"mysql://me:{password}@127.0.0.1/x\n")

    assert (typed.exit_code, malformed.exit_code) == (1, 1)
    assert "A database refused" in typed.output
    assert "must begin with" in malformed.output
    assert password not in typed.output + malformed.output


def test_the_address_is_read_from_a_file(world: World, tmp_path: Path) -> None:
    file = tmp_path / "target"
    file.write_text(f"sqlite:///{tmp_path / 'copy.db'}\n")

    result = world.app.test_cli_runner().invoke(args=["db", "copy", "--yes", "--target-file", str(file)])

    assert result.exit_code == 0, result.output
    assert (tmp_path / "copy.db").exists()


def test_copy_asks_whether_everything_is_stopped(world: World, tmp_path: Path) -> None:
    runner = world.app.test_cli_runner(env={"COPY_TARGET_URL": f"sqlite:///{tmp_path / 'copy.db'}"})

    result = runner.invoke(args=["db", "copy"], input="n\n")

    assert result.exit_code == 1
    assert not (tmp_path / "copy.db").exists()


def test_a_target_of_another_encoding_is_refused_in_one_line(world: World, postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    name = f"narrow_{uuid.uuid4().hex[:12]}"
    with engine.connect() as connection:
        options = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(text(f"CREATE DATABASE {name} {options}"))

    result = copy(world, make_url(postgres_url).set(database=name).render_as_string(hide_password=False))

    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "A database refused: the database's encoding must be UTF8" in result.output
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
