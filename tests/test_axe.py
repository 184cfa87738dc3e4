"""For everyone, outside the journey too: axe finds nothing, nothing scrolls sideways, nobody complains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.browsers import SIDEWAYS, Watch, application, page, picture, post, violations
from tests.world import World

__all__ = ["page"]

# What each of them brings: disagreements, nothing readable, odd values.
CAST = ("amina", "petra", "kenji")
PUBLIC = ("/", "/privacy", "/terms", "/nowhere", "/styleguide")


@pytest.fixture(params=["light-1280", "dark-360"])
def reader(request: pytest.FixtureRequest, page: Page) -> Page:
    """Give a page as somebody may look at it."""
    scheme, width = str(request.param).split("-")
    # Tall enough for the whole page: a picture of a frame ends where the window did.
    page.set_viewport_size({"width": int(width), "height": 1600 if int(width) > 1000 else 3000})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    return page


def faults(frame: Frame | Page) -> list[str]:
    sideways = frame.evaluate(SIDEWAYS)
    return violations(frame) + ([f"scrolls sideways by {sideways}"] if sideways else [])


def found_on(pages: tuple[str, ...], look: Callable[[str], Frame | Page]) -> dict[str, list[str]]:
    return {name: wrong for name in pages if (wrong := faults(look(name)))}


def test_my_settings(world: World, reader: Page, request: pytest.FixtureRequest) -> None:
    watch = Watch(reader, world.bitrix24.app_url)

    def look(person: str) -> Frame:
        reader.goto(world.portal().page_url(person))
        expect(application(reader).locator("[data-refresh]")).to_be_visible()
        picture(reader, f"me-{person}-{request.node.callspec.id}")
        return reader.frames[1]

    assert found_on(CAST, look) == {}
    assert watch.messages == []


def test_pages_without_a_portal(world: World, reader: Page) -> None:
    def look(path: str) -> Page:
        reader.goto(world.bitrix24.app_url + path)
        return reader

    assert found_on(PUBLIC, look) == {}


def test_errors_and_the_installer(world: World, reader: Page) -> None:
    def look(what: str) -> Page:
        if what == "installer":
            post(reader, world.portal().open_installer_as("anna"))
        elif what == "nonsense":
            post(reader, world.portal().open_as("boris"), path="/nowhere")
        else:
            world.portal().end_trial()
            post(reader, world.portal().open_as("boris"))
        expect(reader.get_by_role("heading", level=1)).to_be_attached()
        return reader

    assert found_on(("installer", "nonsense", "unpaid"), look) == {}
