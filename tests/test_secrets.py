"""No token, key, name or address ends where it must not: store, log, remembered calls, pages, errors."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from dashboard.portals import call_log
from tests.emulator.faults import Fault
from tests.world import FERNET_KEY, SECRET_KEY, World

# Of a kept connection: what is read over it is asked for once more, over a new one, in the same call.
RESET = "reset"


def journey(world: World) -> set[str]:
    """Walk through success and failure; return every token that was on the way."""
    seen: set[str] = set()
    portal = world.portal()
    for person in ("anna", "boris", "petra", "sanjay"):
        opening = portal.open_as(person)
        seen |= {opening.access_token, opening.refresh_token, portal.application_token}
        world.post("/", opening)
    session = world.session("boris")
    portal.expire("boris")
    world.browser.post("/me/refresh", headers=session)
    for kind in ("html:500", RESET, "error:ERROR_CORE:400:token " + "a" * 40, "truncated"):
        world.bitrix24.faults.add(Fault(kind=kind, method="batch"))
        world.browser.post("/me/refresh", headers=session)
    portal.expire("boris")
    world.bitrix24.faults.add(Fault(kind="html:500", where="authorization", method="oauth/token"))
    world.browser.post("/me/refresh", headers=session)
    portal.send_event("ONAPPUNINSTALL", application_token="f" * 32)
    seen |= {pair.access for pair in world.bitrix24.world.tokens.of(portal.member_id, 7)}
    seen |= {pair.refresh for pair in world.bitrix24.world.tokens.of(portal.member_id, 7)}
    return seen | {session["Authorization"].removeprefix("Bearer ")}


def keys(world: World) -> set[str]:
    return {world.bitrix24.client_secret, SECRET_KEY, FERNET_KEY}


def test_the_database_holds_no_token_in_the_clear(each_world: World) -> None:
    secrets = journey(each_world) | keys(each_world)

    stored = "".join(
        str(each_world.rows(f"SELECT * FROM {table}"))
        for table in ("portals", "people", "chains", "snapshots", "api_calls")
    )

    assert not [secret for secret in secrets if secret in stored]


def test_the_log_holds_no_token_and_no_name(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)

    secrets = journey(world) | keys(world)

    said = caplog.text + "".join(capsys.readouterr())
    assert "token_refreshed" in said
    assert not [secret for secret in secrets if secret in said]
    assert "Keller" not in said
    assert "Thapa" not in said


def test_remembered_calls_explain_and_do_not_identify(world: World) -> None:
    secrets = journey(world) | keys(world)
    remembered = world.rows("SELECT * FROM api_calls ORDER BY id")

    methods = {row["method"] for row in remembered}
    assert {"batch", "oauth/token", "oauth/app.info"} <= methods
    assert {"ERROR_CORE", "expired_token", "unreachable"} <= {row["error"] for row in remembered}
    told = str(remembered)
    assert not [secret for secret in secrets if secret in told]
    for person in world.portal().people.values():
        assert person.last_name not in told
        assert person.email not in told


def test_every_request_to_bitrix24_is_remembered(world: World) -> None:
    journey(world)

    requests = [one for one in world.bitrix24.requests if one.method]
    sent_again = 1  # RESET
    assert world.one("SELECT count(*) FROM api_calls") == len(requests) - sent_again


def test_calls_are_kept_for_three_days(world: World) -> None:
    world.open("boris")
    old = (datetime.now(UTC) - timedelta(days=3, minutes=1)).replace(tzinfo=None).isoformat(" ")
    with world.database.write_session() as session:
        session.execute(text("UPDATE api_calls SET at = :old WHERE id = 1"), {"old": old})

    with world.database.write_session() as session:
        deleted = call_log.purge(session, now=datetime.now(UTC))

    assert deleted == 1
    assert world.one("SELECT count(*) FROM api_calls") > 0


def test_pages_hold_no_token_but_the_session(world: World) -> None:
    opening = world.portal().open_as("boris")
    page = world.post("/", opening).text

    assert opening.access_token not in page
    assert opening.refresh_token not in page
    assert world.portal().application_token not in page
