"""Helpers for browser tests: the page, the application's frame in it, and its errors."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Frame,
    FrameLocator,
    Page,
    Request,
    Route,
    ViewportSize,
)

from tests import clock, programs
from tests.emulator import Emulator, Portal
from tests.emulator.opening import Opening
from tests.world import World

PICTURES = Path(__file__).parent.parent / "var" / "pictures"
AXE = "axe-core/axe.min.js"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Rules for whole documents hold for the portal's page around the frame, not for what is inside. What would be
# loaded before is read by no rule that runs, and is waited for.
AXE_RUN = "axe.run(document, {resultTypes: ['violations'], preload: false})"


ROUTE_SECONDS = 60.0
ROUTE_PAUSE_MS = 20
DESK: ViewportSize = {"width": 1280, "height": 900}


class Appearance(NamedTuple):
    """The color scheme and the size in which a page is shown."""

    scheme: Literal["light", "dark"]
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"{self.scheme}-{self.width}"


# Tall enough for the whole page: a picture of a frame ends where the window did.
LIGHT, DARK = Appearance("light", 1280, 1600), Appearance("dark", 360, 3000)


def emulate(page: Page, appearance: Appearance) -> None:
    """Show a page in a color scheme and at a size, even one that is already open."""
    page.set_viewport_size({"width": appearance.width, "height": appearance.height})
    page.emulate_media(color_scheme=appearance.scheme, reduced_motion="reduce")


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """Return an empty browser context with the tests' clock."""
    context = browser.new_context(**options)
    context.add_init_script(clock.browser_script())
    return context


class Watch:
    """Record the browser's errors and the requests to the application."""

    def __init__(self, page: Page, application: str) -> None:
        self.messages: list[str] = []
        self.requests: list[Request] = []
        self._application = application
        self._page = page
        page.on("console", self._on_message)
        page.on("pageerror", self._on_error)
        page.on("requestfailed", self._failed)
        page.on("request", self._on_request)
        WATCHING.append(self)

    def stop(self) -> None:
        self._page.remove_listener("console", self._on_message)
        self._page.remove_listener("pageerror", self._on_error)
        self._page.remove_listener("requestfailed", self._failed)
        self._page.remove_listener("request", self._on_request)

    def _on_message(self, message: ConsoleMessage) -> None:
        self.messages.append(f"{message.type}: {message.text}")

    def _on_error(self, error: Error) -> None:
        self.messages.append(f"error: {error}")

    def _failed(self, request: Request) -> None:
        # A request that the page aborts itself is no failure: the user left, or a newer request replaced it.
        if request.failure != "net::ERR_ABORTED":
            self.messages.append(f"failed: {request.url}")

    def _on_request(self, request: Request) -> None:
        if request.url.startswith(self._application):
            self.requests.append(request)


# The recorders of the current test's page.
WATCHING: list[Watch] = []


@pytest.fixture
def bitrix24() -> Iterator[Emulator]:
    """Yield an emulator that delivers events by itself."""
    with Emulator(client_id="app.test.1", client_secret="emulated-secret", events="auto", everyone_speaks="en") as it:
        yield it


@pytest.fixture
def empty_world(bitrix24: Emulator, sqlite_url: str) -> Iterator[World]:
    """Yield a world in which nobody has installed the application."""
    with World(bitrix24, sqlite_url) as it:
        yield it


@pytest.fixture
def page(lent_page: Page) -> Iterator[Page]:
    """Yield an empty page; afterwards reset its emulation and listeners."""
    yield lent_page
    while WATCHING:
        WATCHING.pop().stop()
    lent_page.unroute_all(behavior="ignoreErrors")
    lent_page.goto("about:blank")
    lent_page.context.clear_cookies()
    lent_page.set_viewport_size(DESK)
    lent_page.emulate_media(media="null", color_scheme="null", reduced_motion="null")


class HeldRequests:
    """Hold back the requests of a page whose address matches."""

    def __init__(self, page: Page, address: str, *, times: int | None = None) -> None:
        self._page = page
        self._routes: list[Route] = []
        page.route(re.compile(address), self._hold, times=times)

    def next(self) -> Route:
        """Return the oldest of them, once it has come."""
        until = time.monotonic() + ROUTE_SECONDS
        while not self._routes:
            assert time.monotonic() < until, "the request never came"
            # Playwright hears of requests only while one of its own calls waits.
            self._page.wait_for_timeout(ROUTE_PAUSE_MS)
        return self._routes.pop(0)

    def _hold(self, route: Route) -> None:
        self._routes.append(route)


# The frame changes its height with its content, which moves controls under the pointer. Where that may still
# happen, tests press a key instead of clicking.
def application(page: Page) -> FrameLocator:
    return page.frame_locator("#place iframe")


def control(page: Page, name: str) -> None:
    """Press a control of the emulator's page and wait for its effect."""
    with page.expect_response(lambda response: f"/_emulator/{name}" in response.url or name in response.url):
        page.locator(f'button[data-control="{name}"]').press("Enter")


def open_in_browser(page: Page, portal: Portal, person: str) -> FrameLocator:
    page.goto(portal.page_url(person, controls=True))
    return application(page)


def post(page: Page, opening: Opening, *, path: str | None = None) -> None:
    """Post an opening as a portal would, but without a frame."""
    action = opening.action if path is None else opening.action.replace("/?", f"{path}?", 1)
    fields = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in opening.form.items())
    page.goto("about:blank")
    page.set_content(f'<form method="post" action="{escape(action)}">{fields}</form>')
    with page.expect_navigation(wait_until="load"):
        page.evaluate("document.forms[0].submit()")


def setting(frame: FrameLocator, key: str) -> str | None:
    return frame.locator(f'[data-setting="{key}"]').get_attribute("data-value")


def picture(page: Page, name: str, *, full: bool = False) -> None:
    """Save a screenshot in var/pictures if PICTURES is set, because each takes time."""
    if os.environ.get("PICTURES"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=full)


def violations(frame: Frame | Page) -> list[str]:
    """Return the axe rules that a document breaks, and where."""
    if not frame.evaluate("'axe' in window"):
        frame.evaluate(programs.package(AXE).read_text(encoding="utf-8") + ";0")
    return broken_rules(frame.evaluate(AXE_RUN))


def broken_rules(answer: dict[str, Any]) -> list[str]:
    return [
        f"{rule['id']}: {json.dumps([node['target'] for node in rule['nodes']][:4])}" for rule in answer["violations"]
    ]
