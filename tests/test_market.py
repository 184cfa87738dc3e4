"""What the Market asks a developer to try before publishing, and what a moderator measures of the icon."""

import re
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.world import World, errors_on, settings_on

ROOT = Path(__file__).parent.parent
PERSONAL = ("people", "chains", "snapshots", "runs", "buckets", "api_calls")
SCOPES = ("calendar", "placement", "user_brief")
REFUSED = "insufficient_scope"


def whole_store(world: World) -> str:
    """Return everything the database says, as text."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if world.database.engine.dialect.name == "postgresql":
        tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
    names = [row["name"] for row in world.rows(tables)]
    return repr([world.rows(f'SELECT * FROM "{name}"') for name in names])


def test_a_clean_portal_installs_uses_uninstalls_and_reinstalls(world: World) -> None:
    """Publication requirements: on a portal where it never was; as administrator and as ordinary person."""
    beta = world.portal("beta")
    assert beta.domain not in whole_store(world)

    # Installation ends on a page that says so and moves on by itself.
    installed = world.install("beta")
    assert installed.status_code == 200
    assert beta.domain in installed.text
    assert "install.js" in installed.text

    # An administrator and an ordinary person each see their own settings, and read them again.
    for person in ("clara", "dmitri"):
        page = world.open(person, "beta")
        assert page.status_code == 200
        assert errors_on(page.text) == []
        assert settings_on(page.text)["view"] == beta.people[person].settings["view"]
        session = world.session(person, "beta")
        assert world.browser.post("/me/refresh", headers=session).status_code == 200
    # The team is the administrator's until she says otherwise.
    assert world.browser.get("/team", headers=world.session("clara", "beta")).status_code == 200
    assert world.browser.get("/team", headers=world.session("dmitri", "beta")).status_code == 403
    assert world.sync("beta")["state"] == "done"

    # Uninstalling deletes people and authorization data at once.
    pairs = [
        pair for key in beta.people for pair in world.bitrix24.world.tokens.of(beta.member_id, beta.people[key].user_id)
    ]
    number = world.known("beta").id
    beta.uninstall(clean=True)
    beta.deliver_events()
    for table in PERSONAL:
        assert world.rows(f"SELECT * FROM {table} WHERE {_whose(table)} = {number}") == [], table
    remaining = whole_store(world)
    for somebody in beta.people.values():
        assert somebody.last_name not in remaining
    for pair in pairs:
        assert pair.access not in remaining
        assert pair.refresh not in remaining
    assert world.browser.get("/me", headers=session).status_code == 401

    # A second installation is a fresh one.
    assert world.install("beta").status_code == 200
    assert world.open("dmitri", "beta").status_code == 200
    assert world.known("beta").generation == 2
    assert world.known().generation == 1


def _whose(table: str) -> str:
    if table in ("chains", "snapshots"):
        return "(SELECT portal_id FROM people WHERE people.id = person_id)"
    return "portal_id"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/install", "/events", "/privacy", "/terms"])
def test_the_addresses_on_the_card_answer_the_console(world: World, path: str, method: str) -> None:
    assert world.browser.open(path, method=method).status_code == 200


def test_only_scopes_that_are_used_are_requested(world: World) -> None:
    assert world.portal().application.scopes == list(SCOPES)
    world.open("boris")
    world.sync()

    assert world.bitrix24.count(error="insufficient_scope") == 0
    readme, card = (ROOT / "README.md").read_text(), (ROOT / "docs" / "market.md").read_text()
    for scope in SCOPES:
        assert f"`{scope}`" in readme
        assert f"`{scope}`" in card


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_is_needed(bitrix24: Emulator, sqlite_url: str, scope: str) -> None:
    bitrix24.portal("alpha").drop_scope(scope)
    with World(bitrix24, sqlite_url) as world:
        world.install()
        world.open("boris")
        world.sync()

        assert REFUSED in whole_store(world)


def test_the_moderator_finds_what_the_notes_name(world: World) -> None:
    notes = (ROOT / "docs" / "market.md").read_text().partition("**Notes for the moderator**")[2].partition("##")[0]
    session = world.session("anna")
    world.sync()
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=session)
    pages = "".join(world.browser.get(path, headers=session).text for path in ("/me", "/team", "/admin"))

    named = re.findall(r'"([^"]+)"', notes)

    assert len(named) == 4
    for name in named:
        assert name in pages, name


def test_the_icon_is_square_opaque_and_of_the_right_size() -> None:
    picture = (ROOT / "static" / "icon-512.png").read_bytes()

    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, color = struct.unpack(">IIBB", picture[16:26])
    assert (width, height, depth) == (512, 512, 8)
    # 2 is RGB: no alpha channel, and no transparent color declared either.
    assert color == 2
    assert b"tRNS" not in picture


def test_the_icon_as_svg_is_well_formed_and_calls_nobody() -> None:
    drawing = ET.parse(ROOT / "static" / "icon.svg").getroot()

    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert not any("href" in name for one in drawing.iter() for name in one.attrib)
