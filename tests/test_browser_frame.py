"""The application in the portal's frame: Back, reload, and what is shown while a page loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from playwright.sync_api import Browser, Error, FrameLocator, Page, expect

from tests import clock, programs
from tests.browsers import SIDEWAYS, HeldRequests, Watch, application, open_in_browser, page
from tests.conftest import BROWSER_FLAGS
from tests.waiting import wait_until
from tests.world import World

__all__ = ["page"]

# As a browser that denies a frame of another site its history too.
NO_HISTORY = """if (window !== top) for (const name of ["pushState", "replaceState"]) {
  History.prototype[name] = () => { throw new DOMException("denied", "SecurityError"); };
}"""


@pytest.fixture
def lent_page(lent_page: Page) -> Iterator[Page]:
    """Give a new tab: the one that tests lend each other has a full history, in which no reload can be told."""
    tab = lent_page.context.new_page()
    yield tab
    tab.close()


@pytest.fixture
def company(world: World) -> World:
    world.sync()
    return world


@pytest.fixture
def held(page: Page) -> HeldRequests:
    """Hold back the requests for *Team*."""
    return HeldRequests(page, r"/team(\?.*)?$")


def press_back(page: Page) -> None:
    """Go back as the button does; Playwright's own waits for a navigation of the portal's page, and there is none."""
    page.evaluate("history.back()")


def kept_page(world: World) -> str:
    """Return what the portal keeps of Anna's last page, as JSON."""
    return unquote(world.portal().people["anna"].options.get("last_page", ""))


def go_to(frame: FrameLocator, name: str) -> None:
    frame.get_by_role("link", name=name, exact=True).press("Enter")


def expect_page(frame: FrameLocator, name: str) -> None:
    expect(frame.get_by_role("heading", name=name, level=1)).to_be_attached()
    expect(frame.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")


def filter_team(frame: FrameLocator) -> None:
    """Filter by a name; the filters are one page with the rest of Team."""
    frame.get_by_label("Name or position").fill("boris")
    expect(frame.locator("[data-user]")).to_have_count(1)
    frame.get_by_label("Name or position").fill("thapa")
    expect(frame.locator("[data-user]")).to_have_count(1)
    expect(frame.locator(".people-chart__name")).to_contain_text("Thapa")


def test_back_goes_back_between_our_pages(company: World, page: Page) -> None:
    watch = Watch(page, company.bitrix24.app_url)
    frame = open_in_browser(page, company.portal(), "anna")
    expect_page(frame, "My settings")
    go_to(frame, "Team")
    expect_page(frame, "Team")
    filter_team(frame)
    go_to(frame, "Admin")
    expect_page(frame, "Admin")

    press_back(page)
    expect_page(frame, "Team")
    expect(frame.get_by_label("Name or position")).to_have_value("thapa")
    expect(frame.locator("[data-user]")).to_have_count(1)
    expect(frame.locator("main")).to_be_focused()
    # Both filters are one entry.
    press_back(page)
    expect_page(frame, "My settings")
    page.evaluate("history.forward()")
    expect_page(frame, "Team")
    expect(frame.get_by_label("Name or position")).to_have_value("thapa")

    assert page.url == company.portal().page_url("anna", controls=True)
    assert len([request for request in watch.requests if request.is_navigation_request()]) == 1
    assert watch.messages == []


def test_a_reload_returns_to_the_page_and_its_filters(company: World, page: Page) -> None:
    """Without third-party cookies Chromium denies the frame all storage, so the portal keeps the page."""
    watch = Watch(page, company.bitrix24.app_url)
    frame = open_in_browser(page, company.portal(), "anna")
    go_to(frame, "Team")
    expect_page(frame, "Team")
    filter_team(frame)
    wait_until(lambda: "thapa" in kept_page(company))
    company.bitrix24.clear()

    page.reload()

    expect_page(frame, "Team")
    expect(frame.get_by_label("Name or position")).to_have_value("thapa")
    expect(frame.locator("[data-user]")).to_have_count(1)
    # Nobody has asked for a page, so the focus is where a reload leaves it.
    assert page.frames[1].evaluate("document.activeElement === document.body")
    assert [record.method for record in company.bitrix24.requests] == ["batch"]
    assert watch.messages == []
    with pytest.raises(Error, match="Access is denied"):
        page.frames[1].evaluate("sessionStorage.length")


def test_a_reload_returns_from_the_tabs_own_storage_where_it_is_allowed(
    company: World, chromium: Browser, tmp_path: Path
) -> None:
    # A private window, as other tests have, denies it, and so does a new profile.
    preferences = tmp_path / "Default" / "Preferences"
    preferences.parent.mkdir()
    preferences.write_text(json.dumps({"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": False}}))
    context = chromium.browser_type.launch_persistent_context(
        tmp_path,
        executable_path=programs.program("chromium") or None,
        args=[flag for flag in BROWSER_FLAGS if "cookie" not in flag],
    )
    context.add_init_script(clock.browser_script())
    page = context.new_page()
    frame = open_in_browser(page, company.portal(), "anna")
    go_to(frame, "Admin")
    expect_page(frame, "Admin")

    page.reload()

    expect_page(frame, "Admin")
    assert company.portal().people["anna"].options == {}
    stored = page.frames[1].evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }, history.state])")
    token = page.frames[1].evaluate("document.querySelector('meta[name=session-token]').content")
    assert "admin" in stored
    assert not [secret for secret in (token, company.portal().member_id) if secret in stored]
    context.close()


def test_a_reload_returns_to_the_day_in_the_calendar(company: World, page: Page) -> None:
    page.goto(company.portal().page_url("anna", placement="CALENDAR_GRIDVIEW"))
    frame = application(page)
    saturday = frame.locator(".days__day").nth(5)
    saturday.press("Enter")
    expect(saturday).to_have_attribute("aria-current", "date")
    wait_until(lambda: "day" in kept_page(company))

    page.reload()

    expect(saturday).to_have_attribute("aria-current", "date")


@pytest.mark.parametrize("leave", ["person", "placement", "elsewhere", "full", "tomorrow"])
def test_a_new_opening_shows_the_first_page(company: World, page: Page, leave: str) -> None:
    frame = open_in_browser(page, company.portal(), "anna")
    if leave == "full":
        page.evaluate("() => { for (let entry = 0; entry < 60; entry++) history.pushState(null, ''); }")
    go_to(frame, "Admin")
    expect_page(frame, "Admin")
    wait_until(lambda: "admin" in kept_page(company))
    watch = Watch(page, company.bitrix24.app_url)

    if leave == "person":
        company.portal().people["boris"].options = dict(company.portal().people["anna"].options)
        page.evaluate("() => history.replaceState(null, '', location.href.replace('anna', 'boris'))")
        page.reload()
        expect(page.locator("[data-control=person]")).to_have_value("boris")
    elif leave == "placement":
        page.evaluate("() => history.replaceState(null, '', location.href + '&placement=CALENDAR_GRIDVIEW')")
        page.reload()
    elif leave in ("elsewhere", "full"):
        page.goto("about:blank")
        open_in_browser(page, company.portal(), "anna")
    else:
        kept = json.loads(kept_page(company))
        kept["at"] -= 13 * 60 * 60 * 1000
        company.portal().people["anna"].options["last_page"] = quote(json.dumps(kept))
        page.reload()

    page.wait_for_function("portalFrame.seen.some(({ command }) => command === 'resizeWindow')")
    expect_page(frame, "Team" if leave == "placement" else "My settings")
    assert not [request for request in watch.requests if request.url.endswith("/admin")]


def test_without_history_and_library_the_pages_work(company: World, page: Page) -> None:
    page.route(f"{company.bitrix24.bx24_js_url}**", lambda route: route.abort())
    session = page.context.new_cdp_session(page)
    script = session.send("Page.addScriptToEvaluateOnNewDocument", {"source": NO_HISTORY})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    frame = open_in_browser(page, company.portal(), "anna")
    go_to(frame, "Team")
    expect_page(frame, "Team")

    page.reload()

    expect_page(frame, "My settings")
    go_to(frame, "Admin")
    expect_page(frame, "Admin")
    assert errors == []
    session.send("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]})
    session.detach()


def test_a_slow_page_shows_its_skeleton(company: World, page: Page, held: HeldRequests) -> None:
    frame = open_in_browser(page, company.portal(), "anna")
    expect_page(frame, "My settings")
    go_to(frame, "Team")

    expect(frame.locator('[data-skeleton="list"]')).to_be_visible()
    expect(frame.locator("main")).to_have_css("position", "absolute")
    expect(frame.locator("main")).to_have_attribute("aria-busy", "true")
    held.next().continue_()

    expect_page(frame, "Team")
    expect(frame.locator("[data-skeleton]:visible")).to_have_count(0)
    expect(frame.locator("main")).to_be_focused()


def test_filters_dim_what_is_on_screen(company: World, page: Page, held: HeldRequests) -> None:
    frame = open_in_browser(page, company.portal(), "anna")
    go_to(frame, "Team")
    held.next().continue_()
    expect_page(frame, "Team")
    frame.get_by_label("Name or position").fill("boris")

    expect(frame.locator("main")).to_have_css("opacity", "0.6")

    expect(frame.locator("[data-skeleton]:visible")).to_have_count(0)
    expect(frame.locator("[data-user]").first).to_be_visible()
    held.next().continue_()
    expect(frame.locator("[data-user]")).to_have_count(1)
    expect(frame.locator("main")).to_have_css("opacity", "1")


def test_a_page_that_does_not_come_leaves_the_one_before(company: World, page: Page, held: HeldRequests) -> None:
    frame = open_in_browser(page, company.portal(), "anna")
    go_to(frame, "Team")
    expect(frame.locator('[data-skeleton="list"]')).to_be_visible()

    held.next().abort()

    expect(frame.locator("[data-client-error=offline]")).to_be_visible()
    expect(frame.locator("[data-refresh]")).to_be_visible()
    expect(frame.locator("[data-skeleton]:visible")).to_have_count(0)


@pytest.mark.parametrize("placement", ["IM_SIDEBAR", "USER_PROFILE_TOOLBAR"])
def test_a_card_beside_a_colleague(company: World, page: Page, placement: str) -> None:
    watch = Watch(page, company.bitrix24.app_url)
    page.goto(company.portal().page_url("anna", placement=placement, colleague="boris"))
    frame = application(page)
    card = frame.locator('[data-user="7"]')
    expect(card.get_by_role("heading", name="Boris Keller", level=1)).to_be_visible()
    # At one glance: no tabs, nothing sideways, and the frame no higher than the card.
    expect(frame.get_by_role("navigation")).to_be_hidden()
    assert page.frames[1].evaluate(SIDEWAYS) == 0
    page.wait_for_function("document.querySelector('#place iframe').offsetHeight < 560")

    frame.get_by_role("link", name="Find a time").press("Enter")
    expect(frame.locator("[data-plan]")).to_be_visible()
    expect(frame.get_by_role("navigation").first).to_be_visible()
    expect(frame.locator('[data-user="7"]').first).to_be_attached()
    press_back(page)

    expect(card.get_by_role("heading", name="Boris Keller", level=1)).to_be_visible()
    expect(frame.get_by_role("navigation")).to_be_hidden()
    assert watch.messages == []
