"""Self-hosted portals: unusual addresses, old modules, closed portals, private networks."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.bitrix24.errors import Unreachable
from dashboard.bitrix24.masking import record_nothing
from dashboard.core import config
from dashboard.services import build_services
from tests.emulator import Emulator, Strictness
from tests.world import World, errors_on, settings_on

OLD = Strictness(operating=False, whole_time_start=False, bucket_depth=None)
# The keys that the first version of the method returned.
FIRST_KEYS = ("view", "meetSection", "showDeclined", "lastUsedSection", "timezoneName", "work_time_start")


@pytest.fixture
def old_world(sqlite_url: str) -> Iterator[World]:
    """Give the application with portals whose modules are years old."""
    with (
        Emulator(
            client_id="app.test.1", client_secret="emulated-secret", strictness=OLD, everyone_speaks="en"
        ) as bitrix24,
        World(bitrix24, sqlite_url) as world,
    ):
        yield world


def remove_methods(world: World, *methods: str) -> None:
    world.bitrix24.world.strictness.missing_methods = frozenset(methods)


def open_with_old_form(world: World, person: str = "boris") -> Any:
    """Open with the form that lacks the fields added in 2025."""
    return world.post("/", world.portal().open_as(person, form="old"))


def test_an_address_with_a_port_is_stored(world: World) -> None:
    page = world.open("boris")

    assert world.portal().domain.count(":") == 1
    assert world.known().origin == world.portal().origin
    assert page.headers["Content-Security-Policy"].endswith(f"frame-ancestors {world.portal().origin}")
    assert f'href="{world.portal().origin}/company/personal/' in page.text


def test_an_old_portal_installs_and_opens_with_the_old_form(old_world: World) -> None:
    portal = old_world.portal()
    installed = old_world.post("/install", portal.open_installer_as("anna", form="old"))
    portal.finish_install()

    page = open_with_old_form(old_world)

    assert installed.status_code == 200
    assert page.status_code == 200
    assert errors_on(page.text) == []


def test_an_old_portal_without_limits_is_synchronized(old_world: World) -> None:
    old_world.install()
    old_world.open("boris")

    run = old_world.sync()

    assert (run["state"], run["failed"]) == ("done", 0)


def test_settings_that_an_old_portal_does_not_send_are_shown_as_missing(old_world: World) -> None:
    old_world.install()
    boris = old_world.portal().people["boris"]
    boris.settings = {key: boris.settings[key] for key in FIRST_KEYS}

    page = open_with_old_form(old_world)

    assert page.status_code == 200
    assert set(settings_on(page.text)) == set(FIRST_KEYS)
    assert "Not available in this portal" in page.text


def test_other_methods_may_be_missing(old_world: World) -> None:
    remove_methods(old_world, "calendar.settings.get", "calendar.section.get", "placement.get", "placement.bind")

    installed = old_world.install()
    page = open_with_old_form(old_world)

    assert installed.status_code == 200
    assert page.status_code == 200
    assert settings_on(page.text)["timezoneName"] == "Europe/Berlin"
    assert "ERROR_METHOD_NOT_FOUND" in page.text


def test_a_portal_without_the_settings_method_gets_an_error(old_world: World) -> None:
    remove_methods(old_world, "calendar.user.settings.get")
    old_world.install()

    page = open_with_old_form(old_world)

    assert page.status_code == 200
    assert errors_on(page.text) == ["ERROR_METHOD_NOT_FOUND"]


def test_a_closed_portal_keeps_its_data_and_works_again(world: World) -> None:
    session = world.session("boris")
    world.portal().close()

    closed = world.browser.post("/me/refresh", headers=session)

    assert errors_on(closed.text) == ["PORTAL_DELETED"]
    assert settings_on(closed.text)["timezoneName"] == "Europe/Berlin"
    assert world.one("SELECT state FROM portals") == "active"
    world.portal().reopen()
    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.bitrix24.refreshes() == 0


# A private network


class Attempts:
    """Counts and prevents the connections to an address."""

    def __init__(self, address: str) -> None:
        self.address, self.count = address, 0
        sys.addaudithook(self._count)

    def _count(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] == self.address:
            self.count += 1
            raise ConnectionRefusedError


def test_a_private_address_is_called_only_if_allowed(world: World) -> None:
    address = "fd12:3456:789a::1"
    attempts = Attempts(address)

    def call(**environment: str) -> None:
        settings = config.load(world.environment | environment)
        services = build_services(settings, database=world.database, now=world.now)
        with pytest.raises(Unreachable):
            client = services.installations.client(f"https://[{address}]", record_call=record_nothing)
            client.call("app.info", token="x")

    call()
    assert attempts.count == 0
    call(ALLOW_PRIVATE_PORTALS="1")
    assert attempts.count == 1
