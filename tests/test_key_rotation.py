"""Keys rotate while the application works; a sealed value moved to another row opens for nobody."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from pydantic import SecretStr
from sqlalchemy import text

from app import create_app
from dashboard.core import config
from dashboard.core.encryption import TokenEncryption
from dashboard.models import OAuthToken
from dashboard.tokens import key_rotation
from tests.world import FERNET_KEY, World, errors_on

NEW = Fernet.generate_key().decode()
BOTH = TokenEncryption([SecretStr(NEW), SecretStr(FERNET_KEY)])


def app_with(world: World, keys: str) -> Flask:
    return create_app(config.load(world.environment | {"TOKEN_KEYS": keys}), database=world.database)


def sealed(world: World) -> list[str]:
    """Return every sealed value there is."""
    columns = "application_token", "previous_token"
    result = [row[name] for row in world.rows("SELECT * FROM portals") for name in columns]
    token_store = world.rows("SELECT access_token, refresh_token FROM chains")
    return [value for value in (*result, *(each for row in token_store for each in row.values())) if value]


def count_new(world: World) -> int:
    return sum(BOTH.uses_first_key(value) for value in sealed(world))


def test_every_encrypted_column_is_rotated(each_world: World) -> None:
    each_world.open("boris")
    each_world.portal().update(new_application_token=True)
    each_world.portal().deliver_events()

    steps = list(key_rotation.rotate(each_world.database, BOTH))

    assert count_new(each_world) == len(sealed(each_world)) == 6
    assert (steps[-1].done, steps[-1].total, steps[-1].unreadable) == (6, 6, 0)


def test_a_rotation_that_was_interrupted_goes_on(world: World) -> None:
    world.open("boris")
    begun = key_rotation.rotate(world.database, BOTH, batch=1)
    next(begun)
    next(begun)
    begun.close()
    assert count_new(world) == 2
    before = set(sealed(world))

    steps = list(key_rotation.rotate(world.database, BOTH, batch=1))

    assert count_new(world) == len(sealed(world)) == 5
    # What was done is not done again.
    assert len(before & set(sealed(world))) == 2
    assert [step.done for step in steps] == [1, 2, 3, 4, 5]


def test_people_go_on_working_while_keys_rotate(world: World) -> None:
    session = world.session("boris")
    both = app_with(world, f"{NEW},{FERNET_KEY}")
    for _ in key_rotation.rotate(world.database, BOTH, batch=1):
        world.portal().expire("boris")
        assert both.test_client().post("/me/refresh", headers=session).status_code == 200

    world.portal().expire("boris")
    assert app_with(world, NEW).test_client().post("/me/refresh", headers=session).status_code == 200
    assert count_new(world) == len(sealed(world))


def test_a_rotation_keeps_a_pair_refreshed_meanwhile(world: World) -> None:
    """After the batch was read and before it is written."""
    session = world.session("boris")
    stale = world.rows("SELECT person_id, access_token FROM chains")
    world.portal().expire("boris")
    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    renewed = world.rows("SELECT person_id, access_token FROM chains")

    with world.database.write_session() as rows:
        for row in stale:
            key_rotation.reencrypt(rows, BOTH, OAuthToken.access_token, row["person_id"], row["access_token"])

    stored = [row for row in world.rows("SELECT person_id, access_token FROM chains") if row in renewed]
    assert len(stored) == 1
    assert app_with(world, f"{NEW},{FERNET_KEY}").test_client().post("/me/refresh", headers=session).status_code == 200


def test_a_swapped_pair_of_people_is_refused(world: World) -> None:
    world.open("boris")
    sessions = {person: world.session(person) for person in ("anna", "boris")}
    one, two = world.rows("SELECT person_id, access_token, refresh_token FROM chains ORDER BY 1")
    put(world, one["person_id"], two)
    put(world, two["person_id"], one)
    world.bitrix24.clear()

    for session in sessions.values():
        answer = world.browser.post("/me/refresh", headers=session)
        assert (answer.status_code, errors_on(answer.text)) == (403, ["reconnect"])

    assert world.bitrix24.requests == []


def put(world: World, person: int, pair: dict[str, str]) -> None:
    values = {"person": person, "access": pair["access_token"], "refresh": pair["refresh_token"]}
    with world.database.write_session() as session:
        session.execute(
            text("UPDATE chains SET access_token = :access, refresh_token = :refresh WHERE person_id = :person"),
            values,
        )


def test_a_refresh_token_in_the_access_tokens_place_is_refused(world: World) -> None:
    session = world.session("boris")
    with world.database.write_session() as rows:
        rows.execute(text("UPDATE chains SET access_token = refresh_token"))

    assert world.browser.post("/me/refresh", headers=session).status_code == 403


def test_a_pair_of_another_portal_is_refused(world: World) -> None:
    """Boris of Alpha and Esther of Beta have the same number."""
    boris = world.session("boris")
    world.install("beta")
    world.open("esther", "beta")
    esther = world.rows(
        "SELECT access_token, refresh_token FROM chains c JOIN people p ON p.id = c.person_id"
        " WHERE p.portal_id = 2 AND p.user_id = 7"
    )[0]
    mine = world.one("SELECT id FROM people WHERE portal_id = 1 AND user_id = 7")

    put(world, mine, esther)

    assert world.browser.post("/me/refresh", headers=boris).status_code == 403


def test_another_portals_application_token_proves_nothing(world: World) -> None:
    world.install("beta")
    with world.database.write_session() as session:
        session.execute(
            text("UPDATE portals SET application_token = (SELECT application_token FROM portals WHERE id = 2)")
        )
    betas = world.portal("beta").application_token

    assert world.portal().send_event("ONAPPUNINSTALL", application_token=betas)[0] == 403
    assert world.one("SELECT state FROM portals WHERE id = 1") == "active"


@pytest.mark.parametrize("variable", ["SECRET_KEY", "TOKEN_KEYS", "BITRIX24_CLIENT_SECRET"])
def test_a_missing_key_is_one_line_and_no_start(
    world: World, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (world.environment | {variable: ""}).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit):
        create_app()

    assert capsys.readouterr().err == f"{variable}: must be set\n"
