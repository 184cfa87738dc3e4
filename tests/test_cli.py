"""Operator commands: what they print and change, and that they print no secret."""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result
from cryptography.fernet import Fernet
from sqlalchemy import text

from app import create_app
from dashboard.core import config, migrations
from dashboard.portals.deletion import replace_portal_row
from tests.test_cli_settings import HOSTILE, obeyed
from tests.world import FERNET_KEY, World


def run(world: World, *arguments: str, answer: str | None = None, **environment: str) -> Result:
    app = create_app(config.load(world.environment | environment), database=world.database)
    return app.test_cli_runner().invoke(args=list(arguments), input=answer)


def test_portals_are_listed_and_one_is_shown(world: World) -> None:
    listing = run(world, "portals", "list")
    details = run(world, "portals", "show", world.portal().member_id)

    assert world.portal().member_id in listing.output
    assert "active" in listing.output
    assert world.portal().origin in details.output
    assert "1 live" in details.output
    assert world.portal().application_token not in listing.output + details.output


def test_json_for_programs(world: World) -> None:
    (listing,) = json.loads(run(world, "portals", "list", "--json").output)
    details = json.loads(run(world, "portals", "show", str(listing["number"]), "--json").output)

    assert listing["member_id"] == details["member_id"] == world.portal().member_id
    assert listing["number"] == details["number"] == world.known().id
    assert listing["people"] == 1
    assert (details["team_access"], details["departments"]) == ("administrators", 0)


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("words", ["portals list", "portals show {}", "people list", "runs list"])
def test_stored_text_is_escaped_for_the_terminal(world: World, words: str, options: tuple[str, ...]) -> None:
    with world.database.write_session() as session:
        for table, column in (
            *(("portals", name) for name in ("origin", "authorization_server", "directory_error")),
            *(("people", "problem"), ("runs", "error")),
        ):
            session.execute(text(f"UPDATE {table} SET {column} = :hostile"), {"hostile": HOSTILE})

    result = run(world, *words.format(world.portal().member_id).split(), *options)

    assert result.exit_code == 0
    assert "\\u009b" in result.output
    assert obeyed(result.output) == []
    if options:
        assert HOSTILE in flat(json.loads(result.output))
    else:
        assert "\n  Time zone: forged" not in result.output


def test_errors_are_escaped_for_the_terminal(world: World) -> None:
    result = run(world, "db", "upgrade", "we\x9b31mek\u202egnp")

    assert result.exit_code == 1
    assert "\\u009b" in result.output
    assert obeyed(result.output) == []


def flat(value: object) -> list[object]:
    """Return all values in nested JSON."""
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return [value] if parts is None else [value for part in parts for value in flat(part)]


def test_commands_print_only_through_output() -> None:
    sources = (Path(__file__).parent.parent / "dashboard" / "commands").glob("*.py")
    bare = [file.name for file in sources if re.search(r"\b(click\.s?echo|print)\(", file.read_text("utf-8"))]

    assert bare == ["output.py"]


def test_portals_are_listed_by_state(world: World) -> None:
    assert run(world, "portals", "list", "--state", "suspended").output == "No portals.\n"
    assert run(world, "portals", "list", "--state", "lost").exit_code == 2


def people(world: World, *options: str) -> list[int]:
    return [row["user"] for row in json.loads(run(world, "people", "list", "--json", *options).output)]


def test_people_are_listed_by_state_and_portal(world: World) -> None:
    world.open("boris")
    world.open("olena")
    with world.database.write_session() as session:
        execute = session.connection().exec_driver_sql
        execute("UPDATE people SET settings_at = '2026-01-01 00:00:00' WHERE user_id = 7")
        execute("UPDATE people SET chain_state = 'reconnect' WHERE user_id = 8")
        execute(
            "INSERT INTO people (portal_id, user_id, name, is_admin, time_zone, language)"
            " VALUES (1, 9, 'Listed', 0, '', '')"
        )

    assert people(world, "--state", "connected") == [1]
    assert people(world, "--state", "stale") == [7]
    assert people(world, "--state", "reconnect") == [8]
    assert people(world, "--state", "never") == [9]
    assert people(world) == [1, 7, 8, 9]
    some = run(world, "people", "list", "--json", "--limit", "2")
    assert [row["user"] for row in json.loads(some.stdout)] == [1, 7]
    assert "first 2" in some.stderr
    assert run(world, "people", "list", "--limit", "4").stderr == ""
    assert people(world, "--portal", world.portal().member_id) == [1, 7, 8, 9]


def test_people_are_listed_and_shown_without_names(world: World) -> None:
    listing = run(world, "people", "list")
    (row,) = json.loads(run(world, "people", "list", "--portal", str(world.known().id), "--json").output)
    details = run(world, "people", "show", str(row["number"]))

    assert row["number"] == world.one("SELECT id FROM people")
    for result in (listing, details):
        assert "connected" in result.output
        assert world.portal().people["anna"].last_name not in result.output


def test_the_number_of_a_deleted_person_is_nobodys(world: World) -> None:
    result = run(world, "people", "show", "4711")

    assert (result.exit_code, "Nobody has this number" in result.output) == (1, True)


def test_a_run_is_requested_and_listed(world: World) -> None:
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("DELETE FROM runs")

    first = run(world, "sync", "run", world.portal().member_id, "--json")
    again = run(world, "sync", "run", "--all")
    listing = run(world, "runs", "list", "--portal", str(world.known().id), "--json")

    assert json.loads(first.output)[0]["state"] == "waiting"
    assert world.portal().member_id in again.output
    assert [(row["number"], row["state"]) for row in json.loads(listing.output)] == [
        (world.one("SELECT id FROM runs"), "waiting")
    ]
    assert run(world, "runs", "list", "--state", "failed").output == "No runs.\n"


def test_sync_run_needs_one_portal_or_all(world: World) -> None:
    assert run(world, "sync", "run").exit_code == 2
    assert run(world, "sync", "run", world.portal().member_id, "--all").exit_code == 2
    assert run(world, "sync", "run", "f" * 32).exit_code == 1


def test_an_uninstalled_portal_is_not_updated(world: World) -> None:
    run(world, "portals", "forget", world.portal().member_id, "--yes")

    result = run(world, "sync", "run", world.portal().member_id)

    assert result.exit_code == 1
    assert "no people to update" in result.output
    assert run(world, "sync", "run", "--all").output == "No active portals.\n"


@pytest.mark.parametrize("words", ["portals show", "sync run", "people list --portal", "runs list --portal"])
def test_an_unknown_portal_is_an_error(world: World, words: str) -> None:
    result = run(world, *words.split(), "f" * 32)

    assert result.exit_code == 1
    assert "No portal has this member id or number." in result.output


def test_the_former_row_of_a_deleted_portal_is_no_portal(world: World) -> None:
    with world.database.write_session() as session:
        former_id = replace_portal_row(session, world.known())

    result = run(world, "portals", "forget", str(former_id), "--yes")

    assert (result.exit_code, "No portal has this member id or number." in result.output) == (1, True)


def test_forget_asks_for_confirmation(world: World) -> None:
    refused = run(world, "portals", "forget", world.portal().member_id, answer="n\n")
    assert refused.exit_code == 1
    assert world.one("SELECT count(*) FROM people") == 1

    run(world, "portals", "forget", world.portal().member_id, "--yes")

    assert world.one("SELECT count(*) FROM people") == 0
    assert world.one("SELECT state FROM portals") == "uninstalled"


def test_after_rotate_keys_the_old_key_is_not_needed(world: World) -> None:
    # No Fernet key: a random text, as platforms generate.
    new = secrets.token_hex(32)
    session = world.session("boris")
    token = world.portal().application_token

    result = run(world, "tokens", "rotate-keys", TOKEN_KEYS=f"{new},{FERNET_KEY}")

    assert result.exit_code == 0
    later = create_app(config.load(world.environment | {"TOKEN_KEYS": new}), database=world.database)
    assert "good        token keys" in later.test_cli_runner().invoke(args=["doctor"]).output
    assert later.test_client().post("/me/refresh", headers=session).status_code == 200
    form = {
        "event": "ONAPPUNINSTALL",
        "auth[member_id]": world.portal().member_id,
        "auth[application_token]": token,
    }
    assert later.test_client().post("/events", data=form).status_code == 200


def test_values_that_no_key_decrypts_are_counted_and_kept(world: World) -> None:
    before = world.rows("SELECT access_token FROM chains")

    result = run(world, "tokens", "rotate-keys", TOKEN_KEYS=Fernet.generate_key().decode())

    assert result.exit_code == 1
    assert "3 values" in result.output
    assert world.rows("SELECT access_token FROM chains") == before


def test_the_call_log_is_purged(world: World) -> None:
    assert "Deleted 0 calls." in run(world, "log", "purge").output


@pytest.mark.parametrize("command", [["db", "upgrade"], ["db", "downgrade", "base", "--yes"]])
def test_the_schema_migrates_in_both_directions(world: World, command: list[str]) -> None:
    result = run(world, *command)

    assert result.exit_code == 0, result.output


def test_current_prints_the_revision(world: World) -> None:
    assert run(world, "db", "current").exit_code == 0

    run(world, "db", "downgrade", "0001", "--yes")
    behind = run(world, "db", "current")

    assert behind.exit_code == 1
    assert behind.output.startswith("0001")


@pytest.mark.parametrize("words", ["portals list", "people list", "runs list", "sync run --all", "log purge"])
def test_missing_tables_are_one_line(world: World, words: str) -> None:
    run(world, "db", "downgrade", "base", "--yes")

    result = run(world, *words.split())

    assert result.exit_code == 1
    assert result.output == "DATABASE_URL: the schema is not this version's; run `db upgrade`\n"


@pytest.mark.parametrize("words", ["db upgrade", "db downgrade --yes"])
def test_an_unknown_revision_is_one_line(world: World, words: str) -> None:
    result = run(world, *words.split(), "from-the-future")

    assert result.exit_code == 1
    assert result.output.startswith("Error: Can't locate revision identified by 'from-the-future'; ")
    assert world.one("SELECT version_num FROM alembic_version") == migrations.known_revisions()[0]


def test_a_file_that_is_not_a_database_is_one_line(world: World, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not a database, whatever DATABASE_URL says. " * 30)
    app = create_app(config.load(world.environment | {"DATABASE_URL": f"sqlite:///{file}"}))

    result = app.test_cli_runner().invoke(args=["portals", "list"])

    assert result.exit_code == 1
    assert result.output == "DATABASE_URL: the file is not an SQLite database\n"


def test_every_command_has_help(world: World) -> None:
    for path, command in walk(world.app.cli, ()):
        assert command.help, path
        assert run(world, *path, "--help").exit_code == 0


def walk(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


@pytest.mark.parametrize(("command", "code"), [(["sync", "run"], 1), (["portals", "forget", "--yes"], 0)])
def test_a_command_overtaken_by_a_reinstallation_changes_nothing(world: World, command: list[str], code: int) -> None:
    def install_again() -> None:
        world.services.installations.uninstall(world.known())
        world.install()

    world.before_next_write(install_again)

    result = world.app.test_cli_runner().invoke(args=[*command, world.portal().member_id])

    assert result.exit_code == code
    assert world.rows("SELECT state, generation FROM portals") == [{"state": "active", "generation": 2}]
    assert world.rows("SELECT generation, asked_by FROM runs") == [{"generation": 2, "asked_by": None}]
