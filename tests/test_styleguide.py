"""The style guide shows every component in every state, in development only."""

from __future__ import annotations

import re

from tests.emulator import Emulator
from tests.tools.stylesheets import COMPONENTS, styled
from tests.world import World

HTTPS = {
    "PUBLIC_URL": "https://calendar.example",
    "BITRIX24_AUTH_SERVERS": "https://oauth.bitrix.info",
    "BX24_JS_URL": "https://api.bitrix24.com/api/v1/",
    "TRUST_LOOPBACK": "",
}


def test_it_shows_every_component(world: World) -> None:
    page = world.browser.get("/styleguide")

    assert page.status_code == 200
    sampled = set(re.findall(r'id="guide-([a-z_]+)"', page.text))
    assert {path.stem for path in COMPONENTS} - sampled == set()


def test_it_shows_every_state_of_the_stylesheets(world: World) -> None:
    page = world.browser.get("/styleguide").text
    sampled = set(" ".join(re.findall(r'class="([^"]+)"', page)).split())

    assert {path.stem: missing for path in COMPONENTS if (missing := styled(path) - sampled)} == {}


def test_production_has_no_such_page(bitrix24: Emulator, sqlite_url: str) -> None:
    with World(bitrix24, sqlite_url, **HTTPS) as production:
        assert production.browser.get("/styleguide").status_code == 404
