"""What tests in browsers share: a page, the application's frame in it, and what went wrong there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

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
    ViewportSize,
)

from tests import clock, programs
from tests.emulator import Portal
from tests.emulator.opening import Opening

PICTURES = Path(__file__).parent.parent / "var" / "pictures"
AXE = "axe-core/axe.min.js"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Rules for whole documents hold for the portal's page around the frame, not for what is inside. What would be
# loaded before is read by no rule that runs, and is waited for.
AXE_RUN = "axe.run(document, {resultTypes: ['violations'], preload: false})"


DESK: ViewportSize = {"width": 1280, "height": 900}


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """Return an empty context of Chromium with the clock of the tests."""
    context = browser.new_context(**options)
    context.add_init_script(clock.browser_script())
    return context


class Watch:
    """What went wrong in the browser, and what was sent to the application."""

    def __init__(self, page: Page, application: str) -> None:
        self.messages: list[str] = []
        self.requests: list[Request] = []
        self._application = application
        self._page = page
        page.on("console", self._said)
        page.on("pageerror", self._broken)
        page.on("requestfailed", self._failed)
        page.on("request", self._remember)
        WATCHING.append(self)

    def stop(self) -> None:
        self._page.remove_listener("console", self._said)
        self._page.remove_listener("pageerror", self._broken)
        self._page.remove_listener("requestfailed", self._failed)
        self._page.remove_listener("request", self._remember)

    def _said(self, message: ConsoleMessage) -> None:
        self.messages.append(f"{message.type}: {message.text}")

    def _broken(self, error: Error) -> None:
        self.messages.append(f"error: {error}")

    def _failed(self, request: Request) -> None:
        # What the page gives up itself is no failure: it was left, or asked for something newer.
        if request.failure != "net::ERR_ABORTED":
            self.messages.append(f"failed: {request.url}")

    def _remember(self, request: Request) -> None:
        if request.url.startswith(self._application):
            self.requests.append(request)


# Those who watch the page of the test under way.
WATCHING: list[Watch] = []


@pytest.fixture
def page(lent_page: Page) -> Iterator[Page]:
    """Give an empty page; afterwards it forgets what it was told to be, and whoever listened to it."""
    yield lent_page
    while WATCHING:
        WATCHING.pop().stop()
    lent_page.unroute_all(behavior="ignoreErrors")
    lent_page.goto("about:blank")
    lent_page.context.clear_cookies()
    lent_page.set_viewport_size(DESK)
    lent_page.emulate_media(media="null", color_scheme="null", reduced_motion="null")


# The frame grows and shrinks with what it holds, and what is under a pointer moves with it: where that may
# still happen, tests press a key instead of clicking.
def application(page: Page) -> FrameLocator:
    return page.frame_locator("#place iframe")


def control(page: Page, name: str) -> None:
    """Press a control of the portal page and wait until the emulator has done it."""
    with page.expect_response(lambda response: f"/_emulator/{name}" in response.url or name in response.url):
        page.locator(f'button[data-control="{name}"]').click()


def open_in_browser(page: Page, portal: Portal, person: str) -> FrameLocator:
    page.goto(portal.page_url(person, controls=True))
    return application(page)


def post(page: Page, opening: Opening, *, path: str | None = None) -> None:
    """Post an opening as a portal would, but without a frame around it."""
    action = opening.action if path is None else opening.action.replace("/?", f"{path}?", 1)
    fields = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in opening.form.items())
    page.goto("about:blank")
    page.set_content(f'<form method="post" action="{escape(action)}">{fields}</form>')
    with page.expect_navigation(wait_until="load"):
        page.evaluate("document.forms[0].submit()")


def setting(frame: FrameLocator, key: str) -> str | None:
    return frame.locator(f'[data-setting="{key}"]').get_attribute("data-value")


def picture(page: Page, name: str, *, full: bool = False) -> None:
    """Keep a picture of the page in var/pictures, where the environment has PICTURES: each is costly."""
    if os.environ.get("PICTURES"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=full)


def violations(frame: Frame | Page) -> list[str]:
    """Return what axe holds against a document: the rule, and where it is broken."""
    frame.evaluate(programs.package(AXE).read_text(encoding="utf-8") + ";0")
    return broken_rules(frame.evaluate(AXE_RUN))


def broken_rules(answer: dict[str, Any]) -> list[str]:
    return [
        f"{rule['id']}: {json.dumps([node['target'] for node in rule['nodes']][:4])}" for rule in answer["violations"]
    ]
