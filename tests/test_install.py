"""Install the application in a portal."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dashboard.core import migrations
from dashboard.portals import requirements
from tests.databases import on_both_databases, url_for
from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.world import World, errors_on

EVENTS = {"ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT"}
EVERYWHERE = {"CALENDAR_GRIDVIEW", "REST_APP_URI"}
CARDS = {"USER_PROFILE_TOOLBAR", "IM_SIDEBAR"}
DAY = 86401


@pytest.fixture
def empty(bitrix24: Emulator, request: pytest.FixtureRequest) -> World:
    return World(bitrix24, url_for(request))


def test_an_administrator_installs_the_application(empty: World) -> None:
    with empty as world:
        response = world.install("alpha")

        assert response.status_code == 200
        assert "data-installed" in response.text
        (portal,) = world.rows("SELECT * FROM portals")
        assert portal["member_id"] == world.portal().member_id
        assert portal["origin"] == world.portal().origin
        assert portal["generation"] == 1


def test_events_and_placements_are_bound_in_one_batch(world: World) -> None:
    application = world.portal().application

    assert {handler.event for handler in application.handlers} == EVENTS
    assert {handler.url for handler in application.handlers} == {f"{world.bitrix24.app_url}/events"}
    assert {placement.code for placement in application.placements} == EVERYWHERE | CARDS
    binding = [request for request in world.bitrix24.requests if "event.bind" in request.inner]
    assert len(binding) == 1


def test_the_sidebar_is_bound_for_private_chats_of_employees(world: World) -> None:
    bound = {placement.code: placement for placement in world.portal().application.placements}

    options = bound["IM_SIDEBAR"].options
    assert (options["context"], options["extranet"], options["role"]) == ("USER", "N", "USER")
    assert bound["USER_PROFILE_TOOLBAR"].options == {}
    assert {bound[code].title for code in CARDS} == {"Working hours"}
    assert {bound[code].lang_all["ru"]["TITLE"] for code in CARDS} == {"Рабочее время"}
    assert {bound[code].title for code in EVERYWHERE} == {"Team Hours"}


def test_a_portal_without_the_cards_gets_the_rest(world: World) -> None:
    """Beta is an older portal; it lists neither of the two."""
    beta = world.portal("beta")

    installed = world.install("beta")

    assert {placement.code for placement in beta.application.placements} == EVERYWHERE
    # They are not even tried.
    (batch,) = [
        request for request in world.bitrix24.requests if "event.bind" in request.inner and request.portal == "beta"
    ]
    assert batch.inner.count("placement.bind") == len(EVERYWHERE)
    assert "sidebar of a private chat" not in installed.text
    assert world.known("beta").unbound == dict.fromkeys(CARDS, "not_offered")
    assert "sidebar of a private chat" in world.install().text


def test_cards_are_bound_once_the_portal_offers_them(world: World) -> None:
    world.install("beta")
    world.portal("beta").lacks_placements.clear()
    world.bitrix24.clock.advance(DAY)

    assert world.open("clara", "beta").status_code == 200

    assert {placement.code for placement in world.portal("beta").application.placements} == EVERYWHERE | CARDS
    assert world.known("beta").unbound == {}


def test_an_upgrade_brings_the_cards_with_the_next_opening(world: World) -> None:
    application = world.portal().application
    application.placements = [placement for placement in application.placements if placement.code in EVERYWHERE]

    migrations.downgrade(world.database, "0012")
    migrations.upgrade(world.database)
    unknown = {placement.state for placement in requirements.placements(world.known())}
    world.open("anna")

    assert unknown == {"unknown"}
    assert {placement.code for placement in application.placements} == EVERYWHERE | CARDS


def test_a_card_that_is_listed_but_not_found_counts_as_not_offered(empty: World) -> None:
    with empty as world:
        world.bitrix24.faults.add(Fault(kind="error:ERROR_PLACEMENT_NOT_FOUND:400", inner="placement.bind", times=None))

        world.install("alpha")

        codes = dict.fromkeys(EVERYWHERE, "ERROR_PLACEMENT_NOT_FOUND") | dict.fromkeys(CARDS, "not_offered")
        assert world.known().unbound == codes


def test_a_repeated_installation_changes_nothing(world: World) -> None:
    before = world.rows("SELECT member_id, origin, generation, installed_at FROM portals")
    world.bitrix24.clear()

    assert world.install("alpha").status_code == 200

    assert world.rows("SELECT member_id, origin, generation, installed_at FROM portals") == before
    assert not any("event.bind" in request.inner for request in world.bitrix24.requests)
    assert len(world.portal().application.handlers) == len(EVENTS)


@on_both_databases("empty")
def test_two_simultaneous_installations_create_one_portal(empty: World) -> None:
    with empty as world:
        openings = [world.portal().open_installer_as("anna") for _ in range(6)]

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda opening: world.post("/install", opening).status_code, openings))

        assert answers == [200] * 6
        assert world.one("SELECT count(*) FROM portals") == 1
        assert world.one("SELECT count(*) FROM people") == 1
        assert len(world.portal().application.handlers) == len(EVENTS)


@on_both_databases("empty")
def test_a_form_without_newer_fields_installs_and_the_event_brings_the_token(empty: World) -> None:
    with empty as world:
        world.post("/install", world.portal().open_installer_as("anna", form="old"))
        assert world.one("SELECT application_token FROM portals") is None
        world.portal().finish_install()

        ((_, status, _),) = world.portal().deliver_events()

        assert status == 200
        assert world.one("SELECT application_token FROM portals") is not None


def test_only_an_administrator_can_install(world: World) -> None:
    boris = world.portal().open_as("boris")

    response = world.post("/install", boris, APPLICATION_TOKEN="f" * 32)

    assert response.status_code == 403
    assert errors_on(response.text) == ["not_an_administrator"]


def test_only_an_administrator_can_set_the_application_token(world: World) -> None:
    world.open("boris", APPLICATION_TOKEN="f" * 32)

    status, _ = world.portal().send_event("ONAPPUNINSTALL", application_token="f" * 32)

    assert status == 403
    assert world.one("SELECT state FROM portals") == "active"


def test_a_token_of_another_application_installs_nothing(empty: World) -> None:
    with empty as world:
        opening = world.portal().open_installer_as("anna")

        response = world.post("/install", opening, member_id="f" * 32)

        assert response.status_code == 403
        assert world.one("SELECT count(*) FROM portals") == 0
        assert response.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")


def test_a_failed_binding_does_not_stop_the_installation(empty: World) -> None:
    with empty as world:
        world.bitrix24.faults.add(Fault(kind="error:ERROR_PLACEMENT_NOT_FOUND:400", inner="placement.bind", times=None))

        response = world.install("alpha")

        assert response.status_code == 200
        assert world.one("SELECT state FROM portals") == "active"


def test_bindings_to_a_former_address_are_replaced(world: World) -> None:
    application = world.portal().application
    before = [(one.code, one.url) for one in application.placements]
    earlier = "https://earlier.example.com"
    application.placements = [replace(one, url=f"{earlier}/") for one in application.placements]
    application.handlers = [replace(one, url=f"{earlier}/events") for one in application.handlers]
    # In the portals that have it the next look moves it, a day later at most.
    world.bitrix24.clock.advance(DAY)

    assert world.open("anna").status_code == 200

    assert sorted((one.code, one.url) for one in application.placements) == sorted(before)
    assert {one.url for one in application.handlers} == {f"{world.bitrix24.app_url}/events"}
    assert {one.event for one in application.handlers} == EVENTS
    assert world.one("SELECT unbound FROM portals") == "{}"


def test_a_long_list_of_foreign_bindings_does_not_stop_the_installation(world: World) -> None:
    application = world.portal().application
    (link,) = (one for one in application.placements if one.code == "REST_APP_URI")
    application.placements += [replace(link, url=f"https://{number}.example.com/") for number in range(200)]

    assert world.install("alpha").status_code == 200

    assert len(application.placements) == 164


def test_nothing_is_installed_while_the_authorization_server_is_unreachable(empty: World) -> None:
    with empty as world:
        world.bitrix24.faults.add(Fault(kind="html:500", where="authorization", method="rest/app.info"))
        opening = world.portal().open_installer_as("anna")

        assert world.post("/install", opening).status_code == 502
        assert world.one("SELECT count(*) FROM portals") == 0
        assert world.post("/install", opening).status_code == 200
