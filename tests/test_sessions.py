"""The session token: in a header only, signed, short-lived, and for one generation."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from app import create_app
from dashboard.core import config
from tests.world import SECRET_KEY, World, session_token

ADDRESSES = [("GET", "/me"), ("POST", "/me/refresh")]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "session_missing"),
        ("", "session_missing"),
        ("Bearer", "session_missing"),
        ("Basic YTpi", "session_missing"),
        ("Bearer nonsense", "session_invalid"),
        ("Bearer " + "x" * 5000, "session_invalid"),
        ("Bearer WzEsMiwzXQ.aXw.c2lnbmF0dXJl", "session_invalid"),
    ],
)
def test_nobody_gets_in_without(world: World, method: str, path: str, authorization: str | None, code: str) -> None:
    headers = {"Authorization": authorization} if authorization is not None else {}

    response = world.browser.open(path, method=method, headers=headers)

    assert (response.status_code, response.json) == (401, {"error": code})
    assert "X-Session-Token" not in response.headers


def test_it_works_and_slides(world: World) -> None:
    session = world.session("boris")
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=20)):
        fresher = world.browser.get("/me", headers=session).headers["X-Session-Token"]

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=40)):
        assert world.browser.get("/me", headers=session).json == {"error": "session_expired"}
        assert world.browser.get("/me", headers={"Authorization": f"Bearer {fresher}"}).status_code == 200


def test_a_machine_whose_clock_is_ahead_is_believed_for_a_minute(world: World) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=50)):
        session = world.session("boris")
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=90)):
        too_far = world.session("boris")

    assert world.browser.get("/me", headers=session).status_code == 200
    assert world.browser.get("/me", headers=too_far).json == {"error": "session_expired"}


def test_it_is_not_taken_from_the_address_or_a_cookie(world: World) -> None:
    token = session_token(world.open("boris"))
    world.browser.set_cookie("session", token)

    assert world.browser.get(f"/me?token={token}&session={token}").status_code == 401


def test_it_speaks_for_its_person_alone(world: World) -> None:
    world.open("anna")
    world.portal().people["boris"].settings["tabId"] = "only boris"

    anna, boris = world.session("anna"), world.session("boris")

    assert "only boris" in world.browser.get("/me", headers=boris).text
    assert "only boris" not in world.browser.get("/me", headers=anna).text


def test_keys_rotate_without_ending_sessions(world: World) -> None:
    old = world.session("boris")
    rotated = config_with(world, "a newer signing key for tests," + SECRET_KEY)
    newer = rotated.test_client().get("/me", headers=old)

    assert newer.status_code == 200
    fresh = {"Authorization": f"Bearer {newer.headers['X-Session-Token']}"}
    assert world.browser.get("/me", headers=fresh).json == {"error": "session_invalid"}
    assert rotated.test_client().get("/me", headers=fresh).status_code == 200


def config_with(world: World, secret_key: str) -> Flask:
    return create_app(config.load(world.environment | {"SECRET_KEY": secret_key}), database=world.database)
