"""Text of others runs in its own direction: each stands in `<bdi>` and turns nothing around it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from sqlalchemy import text

from dashboard.bitrix24.schemas import sanitize
from tests.emulator.people import Section
from tests.world import World

WORD = "Zqx"
HOSTILE = f"{WORD}\u202egnp\u2066\u2067\u202a\x9b31m\x07 \u202e{WORD}"
ORDERS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\x9b\x07"
# Where no element can stand; each of these is a paragraph of its own to the browser.
TEXT_ALONE = {"option", "textarea", "title"}
VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """Collects the texts of others on a page, with what they stand in, and what would turn the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self._path: list[str] = []
        self.apart: list[str] = []
        self.bare: list[str] = []
        self.orders: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._path.append(tag)
        for name, value in attrs:
            # Machines read these, and people do not.
            if not name.startswith("data-") and name not in ("value", "href"):
                self._look(value or "", name)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._path:
            del self._path[len(self._path) - self._path[::-1].index(tag) - 1 :]

    def handle_data(self, data: str) -> None:
        self._look(data, "text")
        if WORD in data:
            isolated = "bdi" in self._path or TEXT_ALONE & set(self._path)
            (self.apart if isolated else self.bare).append(data.strip())

    def _look(self, text: str, where: str) -> None:
        self.orders += [f"{where}: {text!r}" for mark in ORDERS if mark in text]


def everybody_is_called(world: World, name: str) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE people SET name = :name, position = :name"), {"name": name})


@pytest.fixture
def hostile(world: World) -> World:
    """Give a portal in which everything that can be named is named so that it turns text around."""
    for name in ("anna", "boris", "olena"):
        person = world.portal().people[name]
        person.name, person.last_name = HOSTILE, ""
        person.sections = [Section(90 + person.user_id, HOSTILE)]
        person.settings |= {
            "view": HOSTILE,
            "timezoneName": HOSTILE,
            "unheard_of": HOSTILE,
            "sendFromEmail": f"{HOSTILE}@",
            "denyBusyInvitation": name == "boris",
            "meetSection": str(90 + person.user_id),
            f"key {HOSTILE}": {"deep": HOSTILE},
            "defaultReminders": {
                "withTime": [HOSTILE, {"type": "date", "value": HOSTILE}],
                HOSTILE: [HOSTILE],
            },
        }
        world.open(name)
    world.sync()
    session = world.session("anna")
    world.browser.post("/admin/team", data={"who": "administrators"}, headers=session)
    world.browser.post("/team/sync", headers=session)
    world.browser.post("/me/settings", data={"view": "day"}, headers=world.session("boris"))
    everybody_is_called(world, HOSTILE)
    return world


def test_names_are_stored_without_what_turns_text() -> None:
    """In a title or an option no element can isolate them. Marks and joiners are part of a spelling."""
    assert sanitize(HOSTILE) == f"{WORD}gnp31m {WORD}"
    assert sanitize("می\u200cخواهم\u200f!") == "می\u200cخواهم\u200f!"


PAGES = (
    *("/me", "/me/history", "/team", "/team/7/history", "/reach/7", "/insights", "/insights/refusing"),
    *("/admin", "/admin/changes", "/admin/calls", "/admin/forget"),
)


def test_texts_of_others_stand_apart_on_every_page(hostile: World) -> None:
    everybody = {"anna": hostile.session("anna"), "boris": hostile.session("boris")}
    everybody_is_called(hostile, HOSTILE)
    opened = hostile.open("anna").text
    everybody_is_called(hostile, HOSTILE)

    pages = {
        f"{path} {who}": hostile.browser.get(path, headers=session).text
        for who, session in everybody.items()
        for path in PAGES
    }
    result = {name: Page(html) for name, html in (pages | {"opened": opened}).items()}

    assert {name: page.bare for name, page in result.items() if page.bare} == {}
    assert {name: page.orders for name, page in result.items() if page.orders} == {}
    assert sum(len(page.apart) for page in result.values()) > 20
