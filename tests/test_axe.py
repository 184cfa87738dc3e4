"""For everyone, outside the journey too: axe finds nothing, nothing scrolls sideways, nobody complains."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Frame, Page, expect

from tests.browsers import DARK, LIGHT, SIDEWAYS, Watch, application, emulate, page, picture, post, violations
from tests.world import World

__all__ = ["page"]

# What each of them brings: disagreements, nothing readable, odd values.
CAST = ("amina", "petra", "kenji")
PUBLIC = ("/", "/privacy", "/terms", "/nowhere", "/styleguide")


def faults(frame: Frame | Page, page: Page, name: str) -> list[str]:
    found = []
    for appearance in (LIGHT, DARK):
        emulate(page, appearance)
        picture(page, f"{name}-{appearance.name}")
        sideways = frame.evaluate(SIDEWAYS)
        wrong = violations(frame) + ([f"scrolls sideways by {sideways}"] if sideways else [])
        found += [f"{appearance.name}: {one}" for one in wrong]
    return found


def found_on(names: tuple[str, ...], look: Callable[[str], Frame | Page], page: Page) -> dict[str, list[str]]:
    return {name: wrong for name in names if (wrong := faults(look(name), page, name))}


def test_my_settings(world: World, page: Page) -> None:
    watch = Watch(page, world.bitrix24.app_url)

    def look(person: str) -> Frame:
        page.goto(world.portal().page_url(person))
        expect(application(page).locator("[data-refresh]")).to_be_visible()
        return page.frames[1]

    assert found_on(CAST, look, page) == {}
    assert watch.messages == []


def test_pages_without_a_portal(world: World, page: Page) -> None:
    def look(path: str) -> Page:
        page.goto(world.bitrix24.app_url + path)
        return page

    assert found_on(PUBLIC, look, page) == {}


def test_errors_and_the_installer(world: World, page: Page) -> None:
    def look(what: str) -> Page:
        if what == "installer":
            post(page, world.portal().open_installer_as("anna"))
        elif what == "nonsense":
            post(page, world.portal().open_as("boris"), path="/nowhere")
        else:
            world.portal().end_trial()
            post(page, world.portal().open_as("boris"))
        expect(page.get_by_role("heading", level=1)).to_be_attached()
        return page

    assert found_on(("installer", "nonsense", "unpaid"), look, page) == {}
