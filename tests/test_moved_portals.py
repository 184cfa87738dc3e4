"""Follow a moved portal only to the address that the authorization server returns."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from tests.emulator.faults import Fault
from tests.world import World, errors_on, settings_on


def origin(world: World) -> str:
    return str(world.one("SELECT origin FROM portals WHERE id = 1"))


def test_an_opening_is_repeated_at_the_new_address(world: World) -> None:
    opening = world.portal().open_as("boris")
    new = world.portal().rename()
    world.bitrix24.clear()

    answer = world.post("/", opening)

    assert answer.status_code == 200
    assert settings_on(answer.text) == world.portal().people["boris"].settings
    assert origin(world) == new
    first, proof, second = world.bitrix24.requests
    assert (first.status, proof.method, second.status) == (302, "rest/app.info", 200)
    assert first.inner == second.inner != ()
    assert not second.followed


def test_a_refresh_is_repeated_at_the_new_address(world: World) -> None:
    session = world.session("boris")
    new = world.portal().rename()
    world.bitrix24.clear()

    answer = world.browser.post("/me/refresh", headers=session)

    assert settings_on(answer.text) == world.portal().people["boris"].settings
    assert origin(world) == new
    assert [request.status for request in world.bitrix24.requests] == [302, 200, 200]
    assert world.bitrix24.refreshes() == 0


def test_an_opening_finds_the_new_address_of_an_unreachable_portal(world: World) -> None:
    new = world.portal().rename(gone=True)

    answer = world.open("boris")

    assert answer.status_code == 200
    assert origin(world) == new
    assert f"frame-ancestors {new}" in answer.headers["Content-Security-Policy"]


def test_an_opening_finds_the_new_address_of_an_unresolvable_portal(world: World) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET origin = 'http://alpha.invalid'"))
    began = time.monotonic()

    assert world.open("boris").status_code == 200

    assert origin(world) == world.portal().origin
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("expired", [False, True])
def test_a_refresh_finds_the_new_address_of_an_unreachable_portal(world: World, expired: bool) -> None:
    """Without an opening, the authorization server is asked, with a refreshed token if needed."""
    session = world.session("boris")
    new = world.portal().rename(gone=True)
    if expired:
        world.portal().expire("boris")

    answer = world.browser.post("/me/refresh", headers=session)

    assert settings_on(answer.text) == world.portal().people["boris"].settings
    assert origin(world) == new
    assert world.bitrix24.refreshes() == int(expired)


def test_a_run_finds_the_new_address_of_an_unreachable_portal(world: World) -> None:
    world.open("boris")
    new = world.portal().rename(gone=True)
    for person in ("anna", "boris"):
        world.portal().expire(person)

    assert world.sync()["state"] == "done"

    assert origin(world) == new


def test_an_unreachable_portal_keeps_its_address_and_no_token_is_refreshed(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="reset", portal="alpha", method="batch", times=None))
    world.bitrix24.clear()

    answer = world.browser.post("/me/refresh", headers=session)

    assert (answer.status_code, errors_on(answer.text)) == (502, ["unreachable"])
    assert origin(world) == world.portal().origin
    # Over the kept connection, and once more over a new one.
    assert world.bitrix24.count(method="batch") == 2
    assert world.bitrix24.count(method="rest/app.info") == 1
    assert world.bitrix24.refreshes() == 0


@pytest.mark.parametrize(("person", "state"), [("boris", "active"), ("anna", "uninstalled")])
def test_a_removed_application_is_noticed_when_the_portal_is_unreachable(world: World, person: str, state: str) -> None:
    """Only the most trusted person's token can confirm that the application was removed."""
    session = world.session(person)
    world.bitrix24.faults.add(Fault(kind="reset", portal="alpha", method="batch", times=None))
    world.bitrix24.faults.add(Fault(kind="error:NOT_INSTALLED:401", where="authorization", method="rest/app.info"))

    assert world.browser.post("/me/refresh", headers=session).status_code == 403

    assert world.one("SELECT state FROM portals") == state


def test_a_portal_that_answers_503_keeps_its_address(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="status:503", portal="alpha", method="batch"))
    world.bitrix24.clear()

    assert world.browser.post("/me/refresh", headers=session).status_code == 502

    assert world.bitrix24.count(method="rest/app.info") == 0


def test_an_unreachable_portal_does_not_get_the_address_of_another(world: World) -> None:
    """The authorization server says that the token belongs to another portal."""
    session = world.session("boris")
    world.portal().rename(gone=True)
    before = origin(world)

    def of_another(answer: dict[str, object]) -> dict[str, object]:
        result = answer["result"]
        assert isinstance(result, dict)
        result["install"] |= {"member_id": world.portal("beta").member_id}
        return answer

    world.bitrix24.faults.add(Fault(kind="answer", where="authorization", method="rest/app.info", change=of_another))

    assert world.browser.post("/me/refresh", headers=session).status_code == 502
    assert origin(world) == before


def test_a_token_response_with_a_new_address_moves_the_portal(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    new = {}

    def then_move(answer: dict[str, object]) -> dict[str, object]:
        new["origin"] = world.portal().rename(gone=True)
        return answer | {"client_endpoint": f"{new['origin']}/rest/"}

    world.bitrix24.faults.add(Fault(kind="answer", where="authorization", method="oauth/token", change=then_move))

    world.browser.post("/me/refresh", headers=session)

    assert origin(world) == new["origin"]
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


def test_an_unreachable_portal_is_asked_once_and_not_at_the_posted_address(world: World) -> None:
    """Somebody posts another DOMAIN, and the authorization server returns the stored address."""
    world.open("anna")  # leaves a connection
    opening = world.portal().open_as("boris")
    opening.query["DOMAIN"] = "localhost:9"
    world.bitrix24.faults.add(Fault(kind="reset", portal="alpha", method="batch", times=None))
    world.bitrix24.clear()

    answer = world.post("/", opening)

    assert (answer.status_code, errors_on(answer.text)) == (502, ["unreachable"])
    assert origin(world) == world.portal().origin
    # Over the kept connection, and once more over a new one; not again after the verification.
    assert world.bitrix24.count(method="batch") == 2
    assert world.bitrix24.count(method="rest/app.info") == 1


@pytest.mark.parametrize(
    "named",
    ["http://user@localhost:1/rest/", "ftp://localhost/rest/", "//localhost/rest/", "localhost", "", 5, None],
)
def test_a_verification_without_an_address_moves_nothing(world: World, named: object) -> None:
    world.portal().rename()

    def name(answer: dict[str, object]) -> dict[str, object]:
        result = answer["result"]
        assert isinstance(result, dict)
        result["install"] |= {"client_endpoint": named, "uri": named, "domain": named}
        return answer

    before = origin(world)
    world.bitrix24.faults.add(Fault(kind="answer", where="authorization", method="rest/app.info", change=name))

    assert world.open("boris").status_code == 502
    assert origin(world) == before
