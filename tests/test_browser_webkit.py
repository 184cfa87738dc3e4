"""The main journey in Safari's engine, in a cross-site frame without third-party cookies."""

from __future__ import annotations

import json

from tests.browsers import SIDEWAYS, bitrix24, empty_world
from tests.journeys import PLAN
from tests.waiting import wait_until
from tests.webkit import WebKit
from tests.world import World

__all__ = ["bitrix24", "empty_world"]

REFRESH = "[data-ready] [data-refresh]"


def shown_view(tab: WebKit) -> object:
    return json.loads(tab.evaluate("document.querySelector('[data-setting=view]').dataset.value"))


def test_webkit_installs_opens_refreshes_edits_and_plans(empty_world: World, webkit: WebKit) -> None:
    world, alpha = empty_world, empty_world.portal()
    boris = alpha.people["boris"]
    webkit.go(alpha.page_url("anna", controls=True))
    webkit.click('button[data-control="install"]')
    webkit.enter_frame(REFRESH)
    assert world.one("SELECT count(*) FROM portals") == 1

    webkit.go(alpha.page_url("boris"))
    webkit.enter_frame(REFRESH)
    boris.settings["view"] = "list"
    alpha.expire("boris")
    webkit.click("[data-refresh]")
    webkit.wait_for("[data-refreshed]")
    assert shown_view(webkit) == "list"

    webkit.click("[aria-controls=view-editor]")
    webkit.click('#view-editor [value="week"]')
    webkit.wait_for('[data-state="saved"]')
    assert shown_view(webkit) == boris.settings["view"] == "week"
    webkit.click('[data-state="saved"] button')
    wait_until(lambda: boris.settings["view"] == "list")
    assert webkit.evaluate(SIDEWAYS) == 0
    assert webkit.evaluate("(document.cookie = 'third=party', document.cookie)") == ""
    assert webkit.complaints() == []

    webkit.go(alpha.page_url("anna"))
    webkit.enter_frame(REFRESH)
    webkit.click(PLAN)
    webkit.wait_for(".plan-suggestions a")
    webkit.click(".plan-suggestions a")
    webkit.wait_for('[data-plan] [data-user="7"]')
    assert webkit.evaluate(SIDEWAYS) == 0
    assert webkit.complaints() == []
