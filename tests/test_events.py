"""Handle events: verified by the application token, harmless when delayed, repeated or forged."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import text

from dashboard.launch.event_spool import EventSpool
from dashboard.portals.installations import PREVIOUS_TOKEN_LIFETIME
from dashboard.portals.personal_data import delete_all
from dashboard.services import build_services
from tests.emulator.faults import Fault
from tests.waiting import wait_until
from tests.world import World, errors_on


def everything(world: World) -> list[object]:
    """Return all stored rows."""
    tables = ("portals", "people", "chains", "snapshots")
    return [world.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def test_an_uninstallation_deletes_everybody_and_leaves_a_tombstone(each_world: World) -> None:
    world = each_world
    session = world.session("boris")
    world.portal().uninstall(clean=True)

    deliveries = world.portal().deliver_events()

    assert [status for event, status, _ in deliveries if event == "ONAPPUNINSTALL"] == [200]
    assert world.one("SELECT state FROM portals") == "uninstalled"
    for table in ("people", "chains", "snapshots", "api_calls"):
        assert world.one(f"SELECT count(*) FROM {table}") == 0
    assert world.browser.get("/me", headers=session).json == {"error": "session_invalid"}


def test_an_uninstallation_clears_the_database_files(world: World) -> None:
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
def test_an_uninstallation_with_a_wrong_token_changes_nothing(world: World, forged: dict[str, Any]) -> None:
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


def test_json_is_refused(world: World) -> None:
    status, _ = world.portal().send_event("ONAPPUNINSTALL", raw=b"{}", content_type="application/json")

    assert status == 415


def test_a_delayed_uninstallation_of_an_earlier_installation_is_ignored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventSpool, "start", lambda self: None)
    world.portal().uninstall()
    world.portal().deliver_events()
    world.install()
    assert world.one("SELECT generation FROM portals") == 2
    world.open("boris")
    before = everything(world)

    status, _ = world.portal().send_event("ONAPPUNINSTALL", ts=int(time.time()) - 3600)

    assert status == 200
    assert everything(world) == before


def test_a_repeated_uninstallation_gets_the_same_answer(world: World) -> None:
    token = world.portal().application_token
    world.portal().uninstall()
    world.portal().deliver_events()

    status, _ = world.portal().send_event("ONAPPUNINSTALL", application_token=token)

    assert status == 200


def test_a_session_of_an_earlier_generation_is_invalid(world: World) -> None:
    session = world.session("boris")
    world.portal().uninstall()
    world.portal().deliver_events()
    world.install()
    world.open("boris")

    assert world.browser.get("/me", headers=session).json == {"error": "session_invalid"}


def test_an_update_stores_a_verified_new_token(world: World) -> None:
    world.portal().update(new_application_token=True)

    deliveries = world.portal().deliver_events()

    assert ("ONAPPUPDATE", 200) in [(event, status) for event, status, _ in deliveries]
    assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200
    assert world.one("SELECT state FROM portals") == "uninstalled"


def test_an_update_by_an_ordinary_person_is_refused(world: World) -> None:
    boris = world.portal().open_as("boris")

    status, _ = world.portal().send_event("ONAPPUPDATE", application_token="f" * 32, access_token=boris.access_token)

    assert status == 403
    assert world.portal().send_event("ONAPPUNINSTALL", application_token="f" * 32)[0] == 403


def test_a_payment_event_without_a_token_changes_nothing(world: World) -> None:
    before = everything(world)

    status, body = world.portal().send_event("ONAPPPAYMENT")

    assert (status, body.strip()) == (200, '{"status":"ok"}')
    assert everything(world) == before


def test_an_uninstallation_with_a_malformed_time_is_not_lost(world: World) -> None:
    assert world.portal().send_event("ONAPPUNINSTALL", ts="soon")[0] == 200
    assert world.one("SELECT state FROM portals") == "uninstalled"


def test_the_application_token_stays_when_an_ordinary_person_reactivates_the_portal(world: World) -> None:
    token = world.portal().application_token
    world.portal().uninstall()
    world.portal().deliver_events()
    world.portal().install()
    world.open("boris")

    assert world.portal().send_event("ONAPPUNINSTALL", application_token=token)[0] == 200
    assert world.one("SELECT count(*) FROM people") == 0


@pytest.mark.parametrize("event", ["ONAPPINSTALL", "ONAPPUPDATE"])
def test_a_forged_installation_event_is_refused(world: World, event: str) -> None:
    status, body = world.portal().send_event(event, application_token="f" * 32, access_token="a" * 70)

    assert (status, body.strip()) == (403, '{"error":"invalid_application_token","status":"error"}')


def test_an_uninstallation_does_not_wait_for_readers(world: World) -> None:
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


def test_requests_during_an_uninstallation_store_nothing(world: World) -> None:
    """A request that began before the uninstallation must not store anything for the next installation."""
    world.portal().people["boris"].settings["sendFromEmail"] = "boris@alpha.example"
    session = world.session("boris")
    world.portal("beta").install()
    fault = world.bitrix24.faults.add(Fault(kind="hold", method="batch", person="boris"))
    world.bitrix24.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(world.app.test_client().post, "/me/refresh", headers=session)
        wait_until(lambda: world.bitrix24.count(method="batch", person="boris") == 1)
        world.portal().send_event("ONAPPUNINSTALL")
        claras = [world.session(person, "beta") for person in ("clara", "dmitri", "esther")]
        fault.released.set()

        slow.result()

    for clara in claras:
        assert "boris@alpha.example" not in world.browser.get("/me", headers=clara).text
    assert world.one("SELECT count(*) FROM snapshots") == 3
    assert world.one("SELECT count(*) FROM api_calls WHERE portal_id = 1") == 0


PERSONAL = ("people", "chains", "snapshots", "runs", "buckets", "api_calls")


def state(world: World, portal: str = "alpha") -> str:
    return str(world.known(portal).state)


def known_through_boris_alone(world: World) -> None:
    """Have an ordinary person open Beta without the installer, so that no application_token is stored."""
    world.portal("beta").install()
    assert world.open("dmitri", "beta").status_code == 200
    assert world.one("SELECT count(*) FROM portals WHERE id = 2 AND application_token IS NULL") == 1


# Which token


def test_the_previous_token_is_valid_for_delayed_events(world: World) -> None:
    before = world.portal().application_token
    world.portal().update(new_application_token=True)
    world.portal().deliver_events()

    # It carries no access token: nothing but the former token can prove it.
    assert world.portal().send_event("ONAPPUNINSTALL", application_token=before)[0] == 200
    assert state(world) == "uninstalled"


def test_the_previous_token_expires(world: World) -> None:
    before = world.portal().application_token
    world.portal().update(new_application_token=True)
    world.portal().deliver_events()

    with time_machine.travel(datetime.now(UTC) + PREVIOUS_TOKEN_LIFETIME + timedelta(minutes=1)):
        assert world.portal().send_event("ONAPPUNINSTALL", application_token=before)[0] == 403
        assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200


def test_a_delayed_older_token_does_not_replace_the_newer_one(world: World) -> None:
    """The event of the installation arrives after that of the update; both carry an administrator's token."""
    before = world.portal().application_token
    world.portal().update(new_application_token=True)
    world.portal().deliver_events()
    world.portal().send_event("ONAPPINSTALL", application_token=before)
    slow = world.portal().open_as("anna")
    world.post("/", slow, APPLICATION_TOKEN=before)

    with time_machine.travel(datetime.now(UTC) + PREVIOUS_TOKEN_LIFETIME + timedelta(minutes=1)):
        assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200


def test_the_token_of_the_previous_installation_is_invalid(world: World) -> None:
    """The uninstall event was lost, and the installer ran again with another token."""
    before = world.portal().application_token
    world.portal().uninstall()
    world.install()
    assert world.portal().application_token != before

    status, _ = world.portal().send_event("ONAPPUNINSTALL", application_token=before)

    assert status == 403
    assert state(world) == "active"


@pytest.mark.parametrize("field", ["auth[application_token][]", "application_token", "AUTH[application_token]"])
def test_a_token_in_another_field_is_ignored(world: World, field: str) -> None:
    member, token = world.portal().member_id, world.portal().application_token
    raw = f"event=ONAPPUNINSTALL&auth[member_id]={member}&{field}={token}"

    assert world.portal().send_event("ONAPPUNINSTALL", raw=raw.encode())[0] == 403
    assert state(world) == "active"


def test_the_token_of_another_portal_is_refused(world: World) -> None:
    world.install("beta")
    betas = world.portal("beta").application_token

    assert world.portal().send_event("ONAPPUNINSTALL", application_token=betas)[0] == 403
    assert (state(world), state(world, "beta")) == ("active", "active")


# When


def test_events_in_any_order_and_number_lead_to_one_state(world: World) -> None:
    portal = world.portal()
    for event in (
        "ONAPPUPDATE",
        "ONAPPINSTALL",
        "ONAPPPAYMENT",
        "ONAPPINSTALL",
        "ONAPPUPDATE",
        "ONSOMETHING",
    ):
        assert portal.send_event(event)[0] == 200
    assert (state(world), world.one("SELECT count(*) FROM people")) == ("active", 1)
    portal.uninstall()
    portal.deliver_events()

    for event in ("ONAPPUNINSTALL", "ONAPPUPDATE", "ONAPPINSTALL", "ONAPPUNINSTALL", "ONAPPPAYMENT"):
        portal.send_event(event)

    assert (state(world), world.one("SELECT count(*) FROM people")) == ("uninstalled", 0)


MINUTES = [-15, -2, 15, 600]


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_wrong_clock_does_not_lose_an_uninstallation(world: World, minutes: int) -> None:
    """Somebody opened the application a moment before; by our clock that was after the event was sent."""
    world.open("boris")
    world.portal().uninstall()

    status, _ = world.portal().send_event("ONAPPUNINSTALL", ts=int(time.time()) + minutes * 60)

    assert (status, state(world)) == (200, "uninstalled")


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_wrong_clock_does_not_uninstall_a_present_installation(
    world: World, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is of an earlier installation; only the authorization server can confirm the end of this one."""
    monkeypatch.setattr(EventSpool, "start", lambda self: None)
    world.open("boris")

    status, _ = world.portal().send_event("ONAPPUNINSTALL", ts=int(time.time()) + minutes * 60)

    assert (status, state(world)) == (200, "active")


def test_a_verified_event_sends_no_request(world: World) -> None:
    world.open("boris")
    world.bitrix24.faults.add(Fault(kind="status:500", times=None))
    world.bitrix24.clear()

    for event in ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPPAYMENT", "ONAPPUNINSTALL"):
        assert world.portal().send_event(event, access_token="f" * 70)[0] == 200

    assert world.bitrix24.requests == []
    assert state(world) == "uninstalled"


@pytest.mark.parametrize("is_installed_again", [False, True])
@pytest.mark.parametrize("door", ["/", "/install"])
def test_an_opening_during_an_uninstallation_stores_nothing(world: World, door: str, is_installed_again: bool) -> None:
    """Its verification starts while the application is installed and ends when it no longer is, or is again."""
    opening = world.portal().open_as("anna")
    world.bitrix24.clear()
    fault = world.bitrix24.faults.add(Fault(kind="hold", method="batch", person="anna"))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(world.app.test_client().post, door, query_string=opening.query, data=opening.form)
        wait_until(lambda: world.bitrix24.count(method="batch", person="anna") == 1)
        if is_installed_again:
            world.portal().uninstall()
            world.portal().deliver_events()
            assert world.install().status_code == 200
        else:
            assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200
        stored = world.rows("SELECT * FROM portals"), world.rows("SELECT * FROM chains")
        fault.released.set()

        answer = slow.result()

    assert (answer.status_code, errors_on(answer.text)) == (403, ["uninstalled_meanwhile"])
    assert state(world) == ("active" if is_installed_again else "uninstalled")
    assert (world.rows("SELECT * FROM portals"), world.rows("SELECT * FROM chains")) == stored


def test_an_uninstallation_overtaken_by_a_reinstallation_deletes_nothing(each_world: World) -> None:
    """The decision was made for the previous generation."""
    world = each_world
    portals = build_services(world.config, database=world.database, now=lambda: datetime.now(UTC)).installations
    values = portals.find(world.portal().member_id)
    assert values is not None
    world.portal().uninstall()
    world.portal().deliver_events()
    world.install()

    portals.uninstall(values)

    assert (state(world), world.one("SELECT count(*) FROM people")) == ("active", 1)


def test_an_uninstallation_overtaken_by_a_deletion_is_not_lost(each_world: World) -> None:
    """An administrator's deletion gives the portal a new row while the event is being handled."""
    world = each_world
    portal = world.known()
    world.portal().uninstall()
    world.before_next_write(lambda: delete_all(world.database, portal))

    world.portal().deliver_events()

    assert (state(world), world.one("SELECT count(*) FROM people")) == ("uninstalled", 0)


# What is left


@pytest.mark.parametrize(("clean", "left"), [("1", False), ("0", True), ("", True)])
def test_an_uninstallation_keeps_decisions_only_without_clean(world: World, clean: str, left: bool) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET team_open = :yes, team_switched_by = 1"), {"yes": True})

    world.portal().send_event("ONAPPUNINSTALL", data={"CLEAN": clean})

    assert bool(world.one("SELECT team_open FROM portals")) is left
    assert world.one("SELECT team_switched_by FROM portals") is None


def test_an_uninstallation_deletes_personal_data_from_every_table(each_world: World) -> None:
    world = each_world
    world.open("boris")
    world.browser.post("/team/sync", headers=world.session("anna"))
    world.portal().uninstall(clean=False)

    world.portal().deliver_events()

    assert {table: world.one(f"SELECT count(*) FROM {table}") for table in PERSONAL} == dict.fromkeys(PERSONAL, 0)
    tombstone = world.rows("SELECT * FROM portals")[0]
    stored = {column for column, value in tombstone.items() if value not in (None, "", False, 0)}
    assert stored <= {
        *("id", "member_id", "origin", "authorization_server", "application_token", "app_status", "state"),
        *("generation", "installed_at", "proven_at", "uninstalled_at", "team_open", "team_switched_at"),
    }


# A portal that only ordinary people have opened


def test_without_a_stored_token_the_authorization_server_confirms_an_uninstallation(world: World) -> None:
    known_through_boris_alone(world)
    world.portal("beta").uninstall()
    world.bitrix24.clear()

    status, _ = world.portal("beta").send_event("ONAPPUNINSTALL")

    assert (status, state(world, "beta")) == (200, "uninstalled")
    assert [request.method for request in world.bitrix24.requests] == ["rest/app.info"]
    assert world.one("SELECT count(*) FROM people WHERE portal_id = 2") == 0


def test_an_unconfirmed_uninstallation_deletes_nothing(world: World) -> None:
    known_through_boris_alone(world)

    status, _ = world.portal("beta").send_event("ONAPPUNINSTALL")

    assert (status, state(world, "beta")) == (403, "active")


@pytest.mark.parametrize("kind", ["status:500", "html:502", "reset", "error:expired_token:401", "body:{}"])
def test_an_error_of_the_authorization_server_deletes_nothing(world: World, kind: str) -> None:
    known_through_boris_alone(world)
    world.portal("beta").uninstall()
    world.bitrix24.faults.add(Fault(kind=kind, where="authorization", times=None))

    assert world.portal("beta").send_event("ONAPPUNINSTALL")[0] == 403
    assert state(world, "beta") == "active"


def test_an_uninstallation_is_confirmed_by_a_refresh_if_the_token_has_expired(world: World) -> None:
    """Days after the last opening the token has expired, which says nothing about the application."""
    known_through_boris_alone(world)
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET team_open = :yes WHERE id = 2"), {"yes": True})
    world.portal("beta").uninstall()
    expired = Fault(kind="error:expired_token:401", where="authorization", method="rest/app.info")
    world.bitrix24.faults.add(expired)

    status, _ = world.portal("beta").send_event("ONAPPUNINSTALL", data={"CLEAN": "0"})

    assert (status, state(world, "beta")) == (200, "uninstalled")
    assert world.known("beta").team_open


def test_only_the_authorization_server_can_confirm_an_uninstallation(world: World) -> None:
    """A self-hosted portal may return anything."""
    session = world.session("boris")
    for code in ("NOT_INSTALLED", "APPLICATION_NOT_FOUND", "ERROR_OAUTH"):
        world.bitrix24.faults.add(Fault(kind=f"error:{code}:401", portal="alpha", method="batch", times=2))
        world.browser.post("/me/refresh", headers=session)
        world.open("boris")

    assert state(world) == "active"
    assert world.one("SELECT count(*) FROM people") == 2


# Bindings


def bound(world: World) -> set[str]:
    application = world.portal().application
    return {handler.event for handler in application.handlers} | {one.code for one in application.placements}


def test_an_opening_by_an_administrator_restores_the_bindings(world: World) -> None:
    whole = bound(world)
    world.portal().update()
    world.portal().deliver_events()
    world.portal().application.placements = []
    assert bound(world) == set()

    world.open("boris")
    assert bound(world) == set()
    world.open("anna")

    assert bound(world) == whole


def test_an_opening_by_an_ordinary_person_binds_nothing(world: World) -> None:
    """Handlers bound by an ordinary person would be theirs alone."""
    world.portal().update()
    world.portal().deliver_events()

    def list_all(answer: dict[str, Any]) -> dict[str, Any]:
        inside = answer["result"]
        inside["result"] |= {"events": [], "placements": []}
        inside["result_error"] = []
        return answer

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=list_all))
    world.bitrix24.clear()

    assert world.open("boris").status_code == 200

    assert [request.method for request in world.bitrix24.requests] == ["batch"]


def test_complete_bindings_take_no_request(world: World) -> None:
    world.portal().update()
    world.portal().deliver_events()
    world.open("anna")
    world.portal().send_event("ONAPPUPDATE")
    world.bitrix24.clear()

    for person in ("boris", "anna", "anna"):
        world.open(person)

    assert [request.method for request in world.bitrix24.requests] == ["batch"] * 3
    assert ["event.get" in request.inner for request in world.bitrix24.requests] == [True, True, False]


def test_bindings_are_checked_once_a_day(world: World) -> None:
    world.portal().application.drop_handlers()
    world.open("anna")
    assert "ONAPPUNINSTALL" not in bound(world)

    with time_machine.travel(datetime.now(UTC) + timedelta(days=1, minutes=1)):
        world.open("anna")

    assert "ONAPPUNINSTALL" in bound(world)


@pytest.mark.parametrize("kind", ["html:502", "reset", "error:ACCESS_DENIED:403"])
def test_the_page_opens_if_the_bindings_cannot_be_restored(world: World, kind: str) -> None:
    world.portal().update()
    world.portal().deliver_events()
    opening = world.portal().open_as("anna")

    def then_fail(answer: dict[str, object]) -> dict[str, object]:
        world.bitrix24.faults.add(Fault(kind=kind, method="batch"))
        return answer

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=then_fail))

    assert world.post("/", opening).status_code == 200
    assert world.open("anna").status_code == 200
    assert "ONAPPUNINSTALL" in bound(world)


# The security log


def test_refused_events_are_logged_with_their_reason(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.portal().send_event("ONAPPUNINSTALL", application_token="f" * 32)
    world.portal().send_event("ONAPPUNINSTALL", member_id="f" * 32)
    world.portal().send_event("ONAPPUPDATE", application_token="e" * 32, access_token="a" * 70)

    lines = [record.getMessage() for record in caplog.records if "event_refused" in record.getMessage()]
    assert len(lines) == 3
    for line, reason in zip(lines, ("wrong_token", "unknown_portal", "invalid_client"), strict=True):
        assert reason in line
        assert "'address': '" in line
    assert not [line for line in lines if "f" * 32 in line or "e" * 32 in line or "a" * 70 in line]
