"""Events: proven by the application token alone, and harmless when late, doubled or forged."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dashboard.core import postgres
from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.waiting import wait_until
from tests.world import World


def everything(world: World) -> list[object]:
    """Return all that is stored, to see that nothing changed."""
    tables = ("portals", "people", "chains", "snapshots")
    return [world.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def test_an_uninstallation_leaves_a_tombstone_and_nobody(each_world: World) -> None:
    world = each_world
    session = world.session("boris")
    world.portal().uninstall(clean=True)

    deliveries = world.portal().deliver_events()

    assert [status for event, status, _ in deliveries if event == "ONAPPUNINSTALL"] == [200]
    assert world.one("SELECT state FROM portals") == "uninstalled"
    for table in ("people", "chains", "snapshots", "api_calls"):
        assert world.one(f"SELECT count(*) FROM {table}") == 0
    assert world.browser.get("/me", headers=session).json == {"error": "session_invalid"}


def test_an_uninstallation_may_take_longer_than_a_page(
    bitrix24: Emulator, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large portal it does; were it given up each time, nobody would ever be deleted."""
    with World(bitrix24, migrated_postgres_url) as world:
        world.install()
        with world.database.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql"
                " AS 'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END'"
            )
            connection.exec_driver_sql("CREATE TRIGGER rest AFTER DELETE ON people EXECUTE FUNCTION rest()")
        monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 0.2)
        world.portal().uninstall()

        world.portal().deliver_events()

        assert world.one("SELECT state FROM portals") == "uninstalled"
        assert world.one("SELECT count(*) FROM people") == 0


def test_an_uninstallation_leaves_no_name_in_the_file(world: World) -> None:
    world.open("boris")
    path = world.config.database_url.get_secret_value().removeprefix("sqlite:///")
    world.portal().uninstall()

    world.portal().deliver_events()

    for suffix in ("", "-wal"):
        with Path(path + suffix).open("rb") as file:
            assert b"Keller" not in file.read()


@pytest.mark.parametrize(
    "forged",
    [
        {"application_token": "f" * 32},
        {"application_token": None},
        {"application_token": ""},
        {"application_token": "ключ"},
        {"member_id": "f" * 32},
    ],
)
def test_an_unproven_uninstallation_changes_nothing(world: World, forged: dict[str, Any]) -> None:
    before = everything(world)

    status, body = world.portal().send_event("ONAPPUNINSTALL", **forged)

    assert status == 403
    assert '"error":"invalid_application_token"' in body
    assert everything(world) == before


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"event=ONAPPUNINSTALL",
        b"auth[member_id]=ffffffffffffffff",
        b"event=ONAPPUNINSTALL&event=ONAPPUNINSTALL&auth[member_id]=ffffffffffffffff",
    ],
)
def test_a_malformed_event_is_refused(world: World, raw: bytes) -> None:
    status, body = world.portal().send_event("ONAPPUNINSTALL", raw=raw)

    assert status == 400
    assert body.split() == ['{"error":"invalid_request","status":"error"}']


def test_json_is_no_event(world: World) -> None:
    status, _ = world.portal().send_event("ONAPPUNINSTALL", raw=b"{}", content_type="application/json")

    assert status == 415


def test_a_late_uninstallation_of_an_earlier_installation_is_ignored(world: World) -> None:
    world.portal().uninstall()
    world.portal().deliver_events()
    world.install()
    assert world.one("SELECT generation FROM portals") == 2
    world.open("boris")
    before = everything(world)

    status, _ = world.portal().send_event("ONAPPUNINSTALL", ts=int(time.time()) - 3600)

    assert status == 200
    assert everything(world) == before


def test_a_doubled_uninstallation_is_answered_the_same(world: World) -> None:
    token = world.portal().application_token
    world.portal().uninstall()
    world.portal().deliver_events()

    status, _ = world.portal().send_event("ONAPPUNINSTALL", application_token=token)

    assert status == 200


def test_a_session_of_an_earlier_generation_is_void(world: World) -> None:
    session = world.session("boris")
    world.portal().uninstall()
    world.portal().deliver_events()
    world.install()
    world.open("boris")

    assert world.browser.get("/me", headers=session).json == {"error": "session_invalid"}


def test_an_update_with_a_new_token_is_proven_and_learnt(world: World) -> None:
    world.portal().update(new_application_token=True)

    deliveries = world.portal().deliver_events()

    assert ("ONAPPUPDATE", 200) in [(event, status) for event, status, _ in deliveries]
    assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200
    assert world.one("SELECT state FROM portals") == "uninstalled"


def test_an_update_by_an_ordinary_person_is_not_believed(world: World) -> None:
    boris = world.portal().open_as("boris")

    status, _ = world.portal().send_event("ONAPPUPDATE", application_token="f" * 32, access_token=boris.access_token)

    assert status == 403
    assert world.portal().send_event("ONAPPUNINSTALL", application_token="f" * 32)[0] == 403


def test_a_payment_event_is_a_hint_and_changes_nothing(world: World) -> None:
    before = everything(world)

    status, body = world.portal().send_event("ONAPPPAYMENT")

    assert (status, body.strip()) == (200, '{"status":"ok"}')
    assert everything(world) == before


def test_known_events_are_answered_without_asking_bitrix24(world: World) -> None:
    world.bitrix24.clear()
    world.portal().finish_install()
    world.portal().send_event("ONAPPINSTALL")
    world.portal().send_event("ONAPPUNINSTALL")

    assert not [request for request in world.bitrix24.requests if request.where == "authorization"]


def test_an_uninstallation_told_after_the_next_installation_is_ignored(world: World) -> None:
    before = int(time.time()) - 2
    world.install()
    world.open("boris")

    status, _ = world.portal().send_event("ONAPPUNINSTALL", ts=before)

    assert status == 200
    assert world.one("SELECT count(*) FROM people") == 2


def test_an_odd_moment_does_not_lose_an_uninstallation(world: World) -> None:
    assert world.portal().send_event("ONAPPUNINSTALL", ts="soon")[0] == 200
    assert world.one("SELECT state FROM portals") == "uninstalled"


def test_the_token_outlives_a_revival_by_an_ordinary_person(world: World) -> None:
    token = world.portal().application_token
    world.portal().uninstall()
    world.portal().deliver_events()
    world.portal().install()
    world.open("boris")

    assert world.portal().send_event("ONAPPUNINSTALL", application_token=token)[0] == 200
    assert world.one("SELECT count(*) FROM people") == 0


@pytest.mark.parametrize("event", ["ONAPPINSTALL", "ONAPPUPDATE"])
def test_a_forged_installation_is_refused_in_the_contracts_words(world: World, event: str) -> None:
    status, body = world.portal().send_event(event, application_token="f" * 32, access_token="a" * 70)

    assert (status, body.strip()) == (403, '{"error":"invalid_application_token","status":"error"}')


def test_a_reader_does_not_hold_up_an_uninstallation(world: World) -> None:
    world.open("boris")
    wal = Path(world.config.database_url.get_secret_value().removeprefix("sqlite:///") + "-wal")
    with world.database.read_session() as reader:
        reader.connection().exec_driver_sql("SELECT count(*) FROM people").all()
        began = time.monotonic()

        assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200

        assert time.monotonic() - began < 5
    world.portal("beta").install()
    world.open("clara", "beta")
    assert b"Keller" not in wal.read_bytes()


def test_what_is_under_way_meets_nobody_else(world: World) -> None:
    """A reading that began before its portal was uninstalled must not become somebody else's."""
    world.portal().people["boris"].settings["sendFromEmail"] = "boris@alpha.example"
    session = world.session("boris")
    world.portal("beta").install()
    held = world.bitrix24.faults.add(Fault(kind="hold", method="batch", person="boris"))
    world.bitrix24.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(world.app.test_client().post, "/me/refresh", headers=session)
        wait_until(lambda: world.bitrix24.count(method="batch", person="boris") == 1)
        world.portal().send_event("ONAPPUNINSTALL")
        claras = [world.session(person, "beta") for person in ("clara", "dmitri", "esther")]
        held.released.set()

        slow.result()

    for clara in claras:
        assert "boris@alpha.example" not in world.browser.get("/me", headers=clara).text
    assert world.one("SELECT count(*) FROM snapshots") == 3
    assert world.one("SELECT count(*) FROM api_calls WHERE portal_id = 1") == 0
