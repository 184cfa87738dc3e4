"""No token, key, name or address ends where it must not: store, log, remembered calls, pages, errors."""

import ast
import logging
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from dashboard.portals import call_log
from tests.emulator.faults import Fault
from tests.world import FERNET_KEY, SECRET_KEY, World

ROOT = Path(__file__).parent.parent

# Of a kept connection: what is read over it is asked for once more, over a new one, in the same call.
RESET = "reset"


def journey(world: World) -> set[str]:
    """Walk through success and failure; return every token that was on the way."""
    values: set[str] = set()
    portal = world.portal()
    for person in ("anna", "boris", "petra", "sanjay"):
        opening = portal.open_as(person)
        values |= {opening.access_token, opening.refresh_token, portal.application_token}
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
    values |= {pair.access for pair in world.bitrix24.world.tokens.of(portal.member_id, 7)}
    values |= {pair.refresh for pair in world.bitrix24.world.tokens.of(portal.member_id, 7)}
    return values | {session["Authorization"].removeprefix("Bearer ")}


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

    message = caplog.text + "".join(capsys.readouterr())
    assert "token_refreshed" in message
    assert not [secret for secret in secrets if secret in message]
    assert "Keller" not in message
    assert "Thapa" not in message


def test_stored_calls_contain_no_personal_data(world: World) -> None:
    secrets = journey(world) | keys(world)
    calls = world.rows("SELECT * FROM api_calls ORDER BY id")

    methods = {row["method"] for row in calls}
    assert {"batch", "oauth/token", "oauth/app.info"} <= methods
    assert {"ERROR_CORE", "expired_token", "unreachable"} <= {row["error"] for row in calls}
    message = str(calls)
    assert not [secret for secret in secrets if secret in message]
    for person in world.portal().people.values():
        assert person.last_name not in message
        assert person.email not in message


def test_every_request_to_bitrix24_is_stored_in_the_call_log(world: World) -> None:
    journey(world)

    requests = [one for one in world.bitrix24.requests if one.method]
    sent_again = 1  # RESET
    assert world.one("SELECT count(*) FROM api_calls") == len(requests) - sent_again


def test_calls_are_kept_for_three_days(world: World) -> None:
    world.open("boris")
    old = (datetime.now(UTC) - timedelta(days=3, minutes=1)).replace(tzinfo=None).isoformat(" ")
    with world.database.write_session() as session:
        session.execute(text("UPDATE api_calls SET at = :old WHERE id = 1"), {"old": old})

    deleted = call_log.purge(world.database, now=datetime.now(UTC))

    assert deleted == 1
    assert world.one("SELECT count(*) FROM api_calls") > 0


def test_pages_hold_no_token_but_the_session(world: World) -> None:
    opening = world.portal().open_as("boris")
    page = world.post("/", opening).text

    assert opening.access_token not in page
    assert opening.refresh_token not in page
    assert world.portal().application_token not in page


METRICS_TOKEN = "a metrics token for tests alone"


def tokens(world: World) -> set[str]:
    """Return both halves of every pair ever minted, and every application_token."""
    minted = world.bitrix24.world.tokens
    pairs = [pair for portal in world.bitrix24.portals.values() for pair in minted.of(portal.member_id)]
    halves = {half for pair in pairs for half in (pair.access, pair.refresh)}
    return halves | {portal.application_token for portal in world.bitrix24.portals.values()}


def people(world: World) -> set[str]:
    """Return what identifies somebody: family names that are no common words, and e-mail addresses."""
    cast = [person for portal in world.bitrix24.portals.values() for person in portal.people.values()]
    names = {person.last_name for person in cast if len(person.last_name) > 4}
    return names | {person.email for person in cast if person.email}


def misadventures(world: World) -> list[str]:
    """Go the journey, then everything that is refused or breaks; return the pages that came of it."""
    pages = []
    world.install("beta")
    portal, beta = world.portal(), world.portal("beta")
    clara = beta.open_as("clara")
    for forged in (
        {"member_id": portal.member_id},
        {"SERVER_ENDPOINT": "http://127.0.0.1:1/rest/", "member_id": "f" * 32},
        {"AUTH_ID": clara.refresh_token},
        {"AUTH_ID": f"{clara.access_token} {clara.refresh_token}"},
        {"member_id": clara.access_token + "\x00"},
        {"PLACEMENT": clara.access_token * 2},
        {"PLACEMENT_OPTIONS": clara.access_token * 300},
    ):
        pages += [world.post(door, clara, **forged).text for door in ("/", "/install")]
    pages.append(world.browser.post(f"/?AUTH_ID={clara.access_token}", data=clara.form).text)
    pages.append(world.browser.get(f"/{clara.access_token}").text)
    pages.append(world.browser.get("/me", headers={"Authorization": f"Bearer {clara.access_token}"}).text)
    for kind in (
        "body:" + clara.access_token,
        f"error:{clara.access_token}:400",
        "redirect:http://127.0.0.1:1/",
    ):
        world.bitrix24.faults.add(Fault(kind=kind, method="batch"))
        pages.append(world.post("/", portal.open_as("boris")).text)
    for event in ("ONAPPUPDATE", "ONAPPINSTALL", "ONAPPUNINSTALL", "ONAPPPAYMENT"):
        pages.append(portal.send_event(event, application_token="e" * 32)[1])
        pages.append(portal.send_event(event, access_token=clara.access_token, application_token="e" * 32)[1])
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("ALTER TABLE chains RENAME TO elsewhere")
    pages.append(world.post("/", portal.open_as("boris")).text)
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("ALTER TABLE elsewhere RENAME TO chains")
    return pages


def test_no_token_key_or_name_leaks_anywhere(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], sqlite_folder: Path
) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    for portal in world.bitrix24.portals.values():
        portal.bucket = None

    values = journey(world)
    pages = misadventures(world)

    secrets = values | tokens(world) | keys(world)
    tracebacks = ["".join(traceback.format_exception(*record.exc_info)) for record in caplog.records if record.exc_info]
    logged = "\n".join([caplog.text, *capsys.readouterr(), *tracebacks])
    files = {path.name: path.read_bytes().decode("latin-1") for path in sqlite_folder.rglob("*") if path.is_file()}
    calls = str(world.rows("SELECT * FROM api_calls"))
    assert len(secrets) > 40
    assert "verification_failed" in logged
    assert "event_refused" in logged
    assert not [secret for secret in secrets if secret in logged]
    assert not [secret for secret in secrets if any(secret in page for page in pages)]
    assert not {name for name, fault in files.items() for secret in secrets if secret in fault}
    assert not [secret for secret in secrets if secret in calls]
    assert not [person for person in people(world) if person in logged + calls]
    assert "dashboard.db" in files


def test_no_configuration_shows_a_secret(world: World) -> None:
    message = f"{world.config!r} {world.config} {world.config.model_dump()} {world.config.model_dump_json()}"

    assert not [secret for secret in keys(world) if secret in message]


def test_secrets_are_compared_in_constant_time() -> None:
    """By the code, as no clock tells it reliably: nothing is held against a secret by an operator."""
    compared = {
        f"{path}:{node.lineno}"
        for path in [*ROOT.glob("dashboard/**/*.py"), ROOT / "app.py"]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and "get_secret_value" in ast.unparse(node)
        # Whether a key is long enough is no comparison with it.
        if not ast.unparse(node).startswith("len(")
    }

    assert compared == set()
