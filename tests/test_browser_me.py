"""My settings in Chromium: refresh, first opening, time zones, print, languages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from dashboard.web.i18n.translations import ENGLISH, LOCALES, find
from tests.browsers import DESK, SIDEWAYS, Watch, application, new_context, open_in_browser, page
from tests.world import World

__all__ = ["page"]

TOLD = "[data-refreshed]"
FIRST = "[data-first-open]"
BROWSER_ZONE = '[data-disagreement="browser"]'


@pytest.fixture
def abroad(chromium: Browser) -> Iterator[Page]:
    """Yield a page on a computer in New York."""
    context = new_context(chromium, viewport=DESK, timezone_id="America/New_York")
    yield context.new_page()
    context.close()


def refreshed(world: World, page: Page) -> FrameLocator:
    frame = application(page)
    frame.locator("[data-refresh]").click()
    expect(frame.locator(TOLD)).to_be_visible()
    return frame


def test_a_refresh_says_whether_something_changed(world: World, page: Page) -> None:
    open_in_browser(page, world.portal(), "boris")

    frame = refreshed(world, page)

    expect(frame.locator(TOLD)).to_have_text("Updated just now. Nothing changed.")
    expect(frame.locator("#announce")).to_have_text("Updated just now. Nothing changed.")
    expect(frame.locator("[data-refresh]")).to_be_focused()

    world.bitrix24.clock.advance(60)
    world.portal().people["boris"].settings |= {"view": "list", "showTasks": "N"}
    frame.locator("[data-refresh]").click()

    expect(frame.locator(TOLD)).to_have_text("Updated just now. 2 settings changed (View and Show tasks).")


def test_the_welcome_appears_once(world: World, page: Page) -> None:
    frame = open_in_browser(page, world.portal(), "boris")
    expect(frame.locator(FIRST)).to_contain_text("It never reads your events")
    expect(frame.locator(FIRST).get_by_role("link")).to_have_count(0)

    frame.get_by_role("button", name="Close this notice").press("Enter")
    expect(frame.locator(FIRST)).to_have_count(0)

    page.reload()
    expect(application(page).locator("[data-refresh]")).to_be_visible()
    expect(application(page).locator(FIRST)).to_have_count(0)


def test_an_administrators_welcome_links_to_the_team(world: World, page: Page) -> None:
    frame = open_in_browser(page, world.portal(), "anna")

    frame.locator(FIRST).get_by_role("link", name="Invite the team").click()

    expect(frame.get_by_role("heading", name="Team", level=1)).to_be_visible()


def test_the_browser_zone_is_compared_with_both(world: World, abroad: Page) -> None:
    boris = world.portal().people["boris"]

    def notice(calendar: str, profile: str) -> str:
        boris.settings["timezoneName"], boris.time_zone = calendar, profile
        frame = open_in_browser(abroad, world.portal(), "boris")
        expect(frame.locator("[data-refresh]")).to_be_visible()
        expect(frame.locator("html")).to_have_attribute("data-ready", "")
        return frame.locator(BROWSER_ZONE).inner_text() if frame.locator(BROWSER_ZONE).is_visible() else ""

    both = notice("Europe/Berlin", "Europe/Berlin")
    assert "America/New_York" in both
    assert "Bitrix24 has your time zone as Europe/Berlin" in both
    assert "Your computer and your profile are set to" in notice("Europe/Berlin", "America/New_York")
    assert "Your computer and your calendar are set to" in notice("America/New_York", "Europe/Berlin")
    # Another name, and the same clock all year.
    assert notice("America/Toronto", "America/New_York") == ""
    assert notice("America/New_York", "") == ""


def test_clocks_and_the_line_on_the_chart_move_each_minute(world: World, chromium: Browser) -> None:
    # Playwright's clock alone: it adds to its own time how far the clock of other pages is from the machine's.
    page = chromium.new_page(viewport=DESK)
    page.clock.install(time=datetime(2026, 3, 4, 11, 30, 20, tzinfo=UTC))
    frame = open_in_browser(page, world.portal(), "boris")
    clock, line = frame.locator("[data-clock]"), frame.locator("[data-now]")
    expect(frame.locator("html")).to_have_attribute("data-ready", "")

    for minute in (31, 32):
        page.clock.run_for(60_000)

        expect(clock).to_have_text(f"12:{minute}")
        expect(line).to_have_attribute("x", str(12 * 60 + minute - 5))
    page.close()


def test_the_calendar_opens_in_the_portal(world: World, page: Page) -> None:
    frame = open_in_browser(page, world.portal(), "boris")
    expect(frame.locator("[data-refresh]")).to_be_visible()
    page.wait_for_function("portalFrame.seen.some((each) => each.command === 'getInitData')")

    frame.get_by_role("link", name="Open my calendar").click()

    expect(page.locator("#slider-title")).to_contain_text("/company/personal/user/7/calendar/")


def test_print_hides_controls(world: World, page: Page) -> None:
    frame = open_in_browser(page, world.portal(), "boris")
    expect(frame.locator("[data-refresh]")).to_be_visible()

    page.emulate_media(media="print")

    expect(frame.locator("[data-refresh]")).to_be_hidden()
    expect(frame.get_by_role("heading", name="My settings", level=1)).to_be_visible()


def test_every_language_opens(world: World, page: Page) -> None:
    watch = Watch(page, world.bitrix24.app_url)

    for lang in ("en", *sorted(code for code in LOCALES if find(code) is not ENGLISH), "ja"):
        world.portal().people["boris"].lang = lang
        frame = open_in_browser(page, world.portal(), "boris")
        expect(frame.locator("[data-refresh]")).to_be_visible()
        spoken = find(lang)
        expect(frame.locator("html")).to_have_attribute("lang", spoken.tag)
        expect(frame.locator("html")).to_have_attribute("dir", spoken.direction)
        assert page.frames[1].evaluate(SIDEWAYS) == 0, lang

    assert watch.messages == []
