"""Every page in Chromium and Firefox, in a cross-site frame without third-party cookies."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests import journeys, programs
from tests.browsers import (
    AXE,
    AXE_RUN,
    DARK,
    LIGHT,
    SIDEWAYS,
    Watch,
    application,
    broken_rules,
    emulate,
    page,
    picture,
    violations,
)
from tests.firefox import Firefox, Tab
from tests.journeys import PAGES, unexpected
from tests.world import World

__all__ = ["page"]

# The page can be used, and waits for no answer.
READY = "[data-ready] main"
IDLE = "main:not([aria-busy])"


@pytest.fixture
def company(world: World) -> World:
    """Yield a portal whose directory was read."""
    world.sync()
    return world


@pytest.fixture
def tab(firefox: Firefox) -> Iterator[Tab]:
    it = firefox.tab(width=1280, height=900)
    yield it
    it.close()


def walk_in_chromium(world: World, page: Page, stop: journeys.Page) -> None:
    if not stop.late:
        stop.before(world)
    # An opening of its own: the same address once more is a reload, which returns to the page before.
    page.goto("about:blank")
    page.goto(world.portal().page_url(stop.person, placement=stop.placement))
    frame = application(page)
    frame.locator(READY).wait_for()
    if stop.late:
        stop.before(world)
    for step in stop.steps:
        control = frame.locator(step).first
        control.wait_for(state="attached")
        # On a phone the filters stand behind a button.
        if not control.is_visible():
            frame.locator("[data-filters]").press("Enter")
        # A key, not a click: the frame is still growing, so the control moves under the pointer.
        control.press("Enter")
        # The page before may have the next control too.
        frame.locator(IDLE).wait_for()
    if stop.search:
        frame.locator(journeys.SEARCH).fill(stop.search)
    expect(frame.locator(stop.there).first).to_be_visible()


def walk_in_firefox(world: World, tab: Tab, stop: journeys.Page) -> None:
    if not stop.late:
        stop.before(world)
    tab.go("about:blank")
    tab.go(world.portal().page_url(stop.person, placement=stop.placement))
    tab.wait_for(READY)
    if stop.late:
        stop.before(world)
    for step in stop.steps:
        tab.wait_for(step)
        tab.click(step)
        tab.wait_for(IDLE)
    if stop.search:
        tab.wait_for(journeys.SEARCH)
        tab.fill(journeys.SEARCH, stop.search)
    tab.wait_for(stop.there)


# Each page is looked at once in each scheme, at each width and in each browser; a notice looks the same on all of them,
# so pages with nothing else to show are looked at once.
def test_chromium_opens_every_page_without_errors(company: World, page: Page) -> None:
    watch = Watch(page, company.bitrix24.app_url)

    for stop in PAGES:
        emulate(page, LIGHT)
        walk_in_chromium(company, page, stop)
        inside = page.frames[1]
        for appearance in (LIGHT,) if "data-error" in stop.there else (LIGHT, DARK):
            emulate(page, appearance)
            picture(page, f"{stop.name}-{appearance.name}", full=True)
            assert violations(inside) == [], (stop.name, appearance)
            assert inside.evaluate(SIDEWAYS) == 0, (stop.name, appearance)
        assert unexpected(watch.messages) == [], stop.name
        company.portal().restore_trial()


def test_firefox_opens_every_page_without_errors(company: World, tab: Tab) -> None:
    for stop in PAGES:
        if "data-error" in stop.there:
            continue
        walk_in_firefox(company, tab, stop)
        if stop.name == "me":
            tab.click("[data-refresh]")
            tab.wait_for("[data-refreshed]")
            # Its clock is that of the tests, in the application's frame too.
            assert tab.evaluate("Date.now() / 1000") == pytest.approx(time.time(), abs=60)
            tab.run(programs.package(AXE).read_text(encoding="utf-8"))
            assert broken_rules(tab.evaluate(AXE_RUN)) == []
        assert tab.evaluate(SIDEWAYS) == 0, stop.name
        assert unexpected(tab.complaints()) == [], stop.name
        assert tab.evaluate("document.cookie") == "", stop.name
        company.portal().restore_trial()
