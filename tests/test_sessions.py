"""Session tokens: sent only in a header, signed, short-lived, valid for one installation."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import text

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
def test_requests_without_a_valid_token_are_refused(
    world: World, method: str, path: str, authorization: str | None, code: str
) -> None:
    headers = {"Authorization": authorization} if authorization is not None else {}

    response = world.browser.open(path, method=method, headers=headers)

    assert (response.status_code, response.json) == (401, {"error": code})
    assert "X-Session-Token" not in response.headers


def test_each_response_extends_the_session(world: World) -> None:
    session = world.session("boris")
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=20)):
        fresher = world.browser.get("/me", headers=session).headers["X-Session-Token"]

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=40)):
        assert world.browser.get("/me", headers=session).json == {"error": "session_expired"}
        assert world.browser.get("/me", headers={"Authorization": f"Bearer {fresher}"}).status_code == 200


def test_a_token_may_be_signed_up_to_a_minute_ahead(world: World) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=50)):
        session = world.session("boris")
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=90)):
        too_far = world.session("boris")

    assert world.browser.get("/me", headers=session).status_code == 200
    assert world.browser.get("/me", headers=too_far).json == {"error": "session_expired"}


def test_a_token_in_the_url_or_a_cookie_is_ignored(world: World) -> None:
    token = session_token(world.open("boris"))
    world.browser.set_cookie("session", token)

    assert world.browser.get(f"/me?token={token}&session={token}").status_code == 401


def test_a_token_shows_only_its_persons_settings(world: World) -> None:
    world.open("anna")
    world.portal().people["boris"].settings["tabId"] = "only boris"

    anna, boris = world.session("anna"), world.session("boris")

    assert "only boris" in world.browser.get("/me", headers=boris).text
    assert "only boris" not in world.browser.get("/me", headers=anna).text


def test_a_new_secret_key_keeps_sessions(world: World) -> None:
    old = world.session("boris")
    rotated = config_with(world, "a newer signing key for tests," + SECRET_KEY)
    newer = rotated.test_client().get("/me", headers=old)

    assert newer.status_code == 200
    fresh = {"Authorization": f"Bearer {newer.headers['X-Session-Token']}"}
    assert world.browser.get("/me", headers=fresh).json == {"error": "session_invalid"}
    assert rotated.test_client().get("/me", headers=fresh).status_code == 200


@pytest.mark.parametrize(
    "other", ["UPDATE portals SET member_id = 'other'", "UPDATE people SET user_id = user_id + 900"]
)
def test_a_token_does_not_follow_a_row_to_another_portal_or_person(world: World, other: str) -> None:
    """Once a backup is restored, the ids of newer rows are given again."""
    session = world.session("boris")
    with world.database.write_session() as database:
        database.execute(text(other))

    assert world.browser.get("/me", headers=session).json == {"error": "session_invalid"}


def config_with(world: World, secret_key: str) -> Flask:
    return create_app(config.load(world.environment | {"SECRET_KEY": secret_key}), database=world.database)
