"""Recommended settings in Chromium: an administrator decides, a person adopts and takes it back, by keyboard."""

from __future__ import annotations

from playwright.sync_api import FrameLocator, Page, expect

from tests.browsers import SIDEWAYS, Watch, open_in_browser, page, picture, violations
from tests.world import World

__all__ = ["page"]


def go_to(frame: FrameLocator, name: str) -> None:
    frame.get_by_role("navigation").get_by_role("link", name=name, exact=True).press("Enter")
    expect(frame.get_by_role("heading", name=name, level=1)).to_be_attached()


def choose(frame: FrameLocator, field: str, option: str) -> None:
    frame.locator(f'.admin-recommended select[name="{field}"]').select_option(label=option)


def faults(page: Page) -> list[str]:
    frame = page.frames[1]
    sideways = frame.evaluate(SIDEWAYS)
    return violations(frame) + ([f"scrolls sideways by {sideways}"] if sideways else [])


def test_settings_are_recommended_adopted_and_restored(world: World, page: Page) -> None:
    watch = Watch(page, world.bitrix24.app_url)
    page.set_viewport_size({"width": 360, "height": 900})
    frame = open_in_browser(page, world.portal(), "anna")
    go_to(frame, "Admin")
    frame.locator(".admin-recommended > summary").press("Enter")
    choose(frame, "view", "Schedule")
    choose(frame, "denyBusyInvitation", "On")
    choose(frame, "reminders.timed", "10 minutes before")
    frame.get_by_label("Working hours: advice in your words").fill("9 to 18")
    assert faults(page) == []
    frame.get_by_role("button", name="Save recommended settings").press("Enter")
    row = frame.locator('[data-recommended="view"]')
    expect(row).to_contain_text("Schedule")
    picture(page, "recommended-admin")
    row.get_by_role("link", name="1 person").press("Enter")
    expect(frame.locator("[data-user]")).to_have_count(1)

    frame = open_in_browser(page, world.portal(), "boris")
    before = dict(world.portal().people["boris"].settings)
    card = frame.get_by_role("region", name="3 settings differ from recommended")
    expect(card.locator('[data-difference="denyBusyInvitation"]')).to_contain_text("are declined for you.")
    assert faults(page) == []
    picture(page, "recommended-me")
    card.get_by_role("button", name="Adopt all").press("Enter")
    undo = frame.locator("[data-adopted]").get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    assert world.portal().people["boris"].settings["view"] == "list"
    assert faults(page) == []

    undo.press("Enter")
    expect(card.get_by_role("button", name="Adopt all")).to_be_focused()
    assert world.portal().people["boris"].settings == before

    card.get_by_role("button", name="Adopt", exact=True).first.press("Enter")
    expect(frame.locator("[data-adopted]")).to_contain_text("1 setting adopted.")
    expect(frame.locator('[data-difference="view"]')).to_have_count(0)
    assert watch.messages == []
