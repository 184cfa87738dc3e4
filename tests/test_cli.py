"""Operator commands: what they say, what they change, and that they tell no secret."""

import pytest
from click.testing import Result
from cryptography.fernet import Fernet

from app import create_app
from dashboard import config
from tests.world import FERNET_KEY, World


def run(world: World, *arguments: str, answer: str | None = None, **environment: str) -> Result:
    app = create_app(config.load(world.environment | environment), database=world.database)
    return app.test_cli_runner().invoke(args=list(arguments), input=answer)


def test_portals_are_listed_and_shown(world: World) -> None:
    listed = run(world, "portals", "list")
    shown = run(world, "portals", "show", world.portal().member_id)

    assert world.portal().member_id in listed.output
    assert "active" in listed.output
    assert world.portal().origin in shown.output
    assert "1 live" in shown.output
    assert world.portal().application_token not in listed.output + shown.output


def test_an_unknown_portal_is_an_error(world: World) -> None:
    result = run(world, "portals", "show", "f" * 32)

    assert result.exit_code == 1
    assert "No portal has this member id." in result.output


def test_a_portal_is_forgotten_only_when_confirmed(world: World) -> None:
    refused = run(world, "portals", "forget", world.portal().member_id, answer="n\n")
    assert refused.exit_code == 1
    assert world.one("SELECT count(*) FROM people") == 1

    run(world, "portals", "forget", world.portal().member_id, "--yes")

    assert world.one("SELECT count(*) FROM people") == 0
    assert world.one("SELECT state FROM portals") == "uninstalled"


def test_keys_rotate_and_the_old_one_can_go(each_world: World) -> None:
    world, new = each_world, Fernet.generate_key().decode()
    session = world.session("boris")
    token = world.portal().application_token

    result = run(world, "tokens", "rotate-keys", TOKEN_KEYS=f"{new},{FERNET_KEY}")

    assert result.exit_code == 0
    later = create_app(config.load(world.environment | {"TOKEN_KEYS": new}), database=world.database)
    assert later.test_client().post("/me/refresh", headers=session).status_code == 200
    form = {
        "event": "ONAPPUNINSTALL",
        "auth[member_id]": world.portal().member_id,
        "auth[application_token]": token,
    }
    assert later.test_client().post("/events", data=form).status_code == 200


def test_values_no_key_opens_are_counted_and_kept(world: World) -> None:
    before = world.rows("SELECT access_token FROM chains")

    result = run(world, "tokens", "rotate-keys", TOKEN_KEYS=Fernet.generate_key().decode())

    assert result.exit_code == 1
    assert "3 values" in result.output
    assert world.rows("SELECT access_token FROM chains") == before


def test_calls_are_purged(world: World) -> None:
    assert "Deleted 0 calls." in run(world, "log", "purge").output


@pytest.mark.parametrize("command", [["db", "upgrade"], ["db", "downgrade", "base", "--yes"]])
def test_the_schema_moves(world: World, command: list[str]) -> None:
    result = run(world, *command)

    assert result.exit_code == 0, result.output
