"""The page that shows every component is there for those who develop, and for nobody else."""

import re

from tests.emulator import Emulator
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
    assert {"button", "notice", "card", "group", "band", "timeline"} <= set(
        re.findall(r'id="guide-([a-z]+)"', page.text)
    )


def test_production_has_no_such_page(bitrix24: Emulator, sqlite_url: str) -> None:
    with World(bitrix24, sqlite_url, **HTTPS) as production:
        assert production.browser.get("/styleguide").status_code == 404
