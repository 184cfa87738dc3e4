"""The application in Chromium, in a cross-site frame without third-party cookies."""

from __future__ import annotations

import gzip
import re

from playwright.sync_api import Page, Response, Route, expect

from tests.browsers import (
    HeldRequests,
    Watch,
    bitrix24,
    control,
    empty_world,
    open_in_browser,
    page,
    setting,
)
from tests.emulator.faults import Fault
from tests.waiting import wait_until
from tests.world import World

__all__ = ["bitrix24", "empty_world", "page"]

FIRST_PAINT = """() => new Promise((resolve) => {
  new PerformanceObserver(() => resolve()).observe({ type: "paint", buffered: true });
})"""


def test_install_open_refresh_uninstall(empty_world: World, page: Page) -> None:
    world, alpha = empty_world, empty_world.portal()
    watch = Watch(page, world.bitrix24.app_url)

    frame = open_in_browser(page, alpha, "anna")
    page.locator('button[data-control="install"]').first.press("Enter")
    # The installer finishes, and the portal reloads and shows the application without a click.
    expect(frame.get_by_role("heading", name="My settings")).to_be_visible()
    assert world.one("SELECT count(*) FROM portals") == 1

    frame = open_in_browser(page, alpha, "boris")
    expect(frame.locator("[data-refresh]")).to_be_visible()
    assert setting(frame, "view") == f'"{alpha.people["boris"].settings["view"]}"'

    control(page, "expire")
    alpha.people["boris"].settings["view"] = "list"
    frame.locator("[data-refresh]").click()
    expect(frame.locator('[data-setting="view"][data-value=\'"list"\']')).to_be_visible()
    assert world.bitrix24.refreshes() == 1

    control(page, "uninstall")
    wait_until(lambda: world.known().state == "uninstalled" and world.one("SELECT count(*) FROM people") == 0)

    assert watch.messages == []
    assert page.context.cookies(world.bitrix24.app_url) == []
    assert not any("cookie" in request.headers for request in watch.requests)


def test_no_secret_is_in_a_url_and_the_frame_never_navigates(world: World, page: Page) -> None:
    watch = Watch(page, world.bitrix24.app_url)
    frame = open_in_browser(page, world.portal(), "boris")
    expect(frame.locator("[data-refresh]")).to_be_visible()

    # A click on the page before would be lost with it.
    with page.expect_response("**/me"):
        frame.get_by_role("link", name="My settings").click()
    frame.locator("main:not([aria-busy])").wait_for()
    with page.expect_response("**/me/refresh"):
        frame.locator("[data-refresh]").click()

    opened = [request for request in watch.requests if request.is_navigation_request()]
    assert len(opened) == 1
    for request in watch.requests:
        query = request.url.partition("?")[2]
        assert not re.search(r"[0-9a-f]{40}|eyJ|WzE", query), request.url


def test_a_click_before_the_scripts_is_replayed(world: World, page: Page) -> None:
    watch = Watch(page, world.bitrix24.app_url)
    delayed: list[Route] = []
    page.route("**/js/app.js", lambda route: delayed.append(route))
    frame = open_in_browser(page, world.portal(), "anna")

    # The page is drawn before the scripts have arrived, and people click.
    frame.get_by_role("link", name="Team", exact=True).dispatch_event("click")
    expect(frame.get_by_role("heading", name="My settings")).to_be_visible()
    for route in delayed:
        route.continue_()

    expect(frame.get_by_role("heading", name="Team")).to_be_visible()
    assert len([request for request in watch.requests if request.is_navigation_request()]) == 1
    assert watch.messages == []


def test_scripts_do_not_hold_back_the_first_paint(world: World, page: Page) -> None:
    watch = Watch(page, world.bitrix24.app_url)
    held = HeldRequests(page, r"/js/app\.js$")
    frame = open_in_browser(page, world.portal(), "boris")
    request = held.next()

    frame.locator("html").evaluate(FIRST_PAINT)

    expect(frame.locator("html")).not_to_have_attribute("data-ready", "")
    request.continue_()
    expect(frame.locator("html")).to_have_attribute("data-ready", "")
    assert watch.messages == []


def test_a_second_click_while_busy_is_ignored(world: World, page: Page) -> None:
    frame = open_in_browser(page, world.portal(), "boris")
    button = frame.locator("[data-refresh]")
    expect(button).to_be_visible()
    world.bitrix24.latency = 0.5
    world.bitrix24.clear()

    button.dblclick()
    expect(button).not_to_have_attribute("aria-busy", "true")

    assert world.bitrix24.count(method="batch") == 1


def test_an_error_is_shown_above_the_last_settings(world: World, page: Page) -> None:
    frame = open_in_browser(page, world.portal(), "boris")
    expect(frame.locator("[data-refresh]")).to_be_visible()
    world.bitrix24.faults.add(Fault(kind="html:503", method="batch"))

    frame.locator("[data-refresh]").click()

    expect(frame.locator('main [data-error="http_503"]')).to_be_visible()
    assert setting(frame, "timezoneName") == '"Europe/Berlin"'


def test_an_expired_session_says_what_to_do(world: World, page: Page) -> None:
    frame = open_in_browser(page, world.portal(), "boris")
    expect(frame.locator("[data-refresh]")).to_be_visible()
    world.portal().uninstall()
    world.portal().deliver_events()

    frame.locator("[data-refresh]").click()

    expect(frame.locator("main [data-client-error]")).to_be_visible()


def test_an_error_page_is_visible_in_the_frame(world: World, page: Page) -> None:
    world.portal().end_trial()

    frame = open_in_browser(page, world.portal(), "boris")

    expect(frame.locator('[data-error="PAYMENT_REQUIRED"]')).to_be_visible()


def test_the_first_page_is_small(world: World, page: Page) -> None:
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    frame = open_in_browser(page, world.portal(), "anna")
    expect(frame.locator("[data-refresh]")).to_be_visible()
    page.remove_listener("response", note)

    inside = [answer for answer in answers if answer.frame != page.main_frame]

    assert len(inside) <= 6
    assert sum(len(gzip.compress(answer.body())) for answer in inside) < 25_000  # as a proxy compresses them
