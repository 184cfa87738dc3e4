"""Admin in Chromium: calls, export and deletion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.browsers import Watch, application, page
from tests.emulator.faults import Fault
from tests.team_fixtures import NEVER_OPENED, days_ago, open_to_everyone, store_people
from tests.world import World

__all__ = ["page"]


@pytest.fixture
def company(world: World) -> World:
    """Yield a portal with people who have opened the app and with failed calls."""
    world.portal().people["anna"].lang = "en"
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="html:500", method="batch"))
    world.browser.post("/me/refresh", headers=session)
    world.bitrix24.clock.advance(60)
    world.sync()
    lucy = {"name": "Lost Lucy", "chain_state": "reconnect", "problem": "user_access_error"}
    store_people(world, {"name": "Late Larry"} | days_ago(world, 4), lucy, {"name": "New Nina"} | NEVER_OPENED)
    return world


def open_admin(world: World, page: Page) -> FrameLocator:
    page.goto(world.portal().page_url("anna"))
    frame = application(page)
    frame.get_by_role("link", name="Admin", exact=True).press("Enter")
    expect(frame.get_by_role("heading", name="Installation")).to_be_visible()
    return frame


def unfold(frame: FrameLocator, line: str) -> None:
    frame.locator(f"#{line} > summary").press("Enter")


def test_calls_can_be_filtered_and_opened(company: World, page: Page) -> None:
    watch = Watch(page, company.bitrix24.app_url)
    frame = open_admin(company, page)

    unfold(frame, "log")
    frame.get_by_role("link", name="View calls").press("Enter")
    first = frame.locator(".details").first
    first.locator("summary").click()
    expect(first.locator("pre").first).to_contain_text('"cmd"')

    frame.get_by_label("Error").select_option("any")
    frame.get_by_role("button", name="Show", exact=True).press("Enter")
    expect(frame.locator("[data-call]")).to_have_count(1)
    expect(frame.get_by_role("button", name="Show", exact=True)).to_be_focused()

    frame.get_by_role("link", name="Back to Admin").press("Enter")
    expect(frame.get_by_role("heading", name="Installation")).to_be_visible()
    assert watch.messages == []


def test_a_figure_links_to_its_people(company: World, page: Page) -> None:
    frame = open_admin(company, page)

    frame.get_by_role("link", name="Needs to reconnect: 1").press("Enter")

    expect(frame.locator(".people-chart__name")).to_have_text(["Lost Lucy"])
    problem = frame.locator(".people-chart__problem")
    expect(problem).to_have_text("This person doesn't have access to the app")


def test_everything_can_be_exported(company: World, page: Page) -> None:
    frame = open_admin(company, page)
    unfold(frame, "data")

    with page.expect_download() as caught:
        frame.get_by_role("button", name="Export everything").press("Enter")

    assert caught.value.suggested_filename == "calendar-settings.json"
    export = json.loads(Path(caught.value.path()).read_text(encoding="utf-8"))
    assert "Lost Lucy" in {person["name"] for person in export["people"]}


def test_deleting_everything_takes_two_steps(company: World, page: Page) -> None:
    frame = open_admin(company, page)
    unfold(frame, "data")
    # A key, not a click: the frame is still growing, so the link moves under the pointer.
    frame.get_by_role("link", name="Delete everything…").press("Enter")
    expect(frame.get_by_text("cannot be restored")).to_be_visible()

    frame.get_by_label("To confirm, type").fill("another.bitrix24.com")
    frame.get_by_role("button", name="Delete everything").press("Enter")
    expect(frame.get_by_text("Nothing was deleted.")).to_be_visible()

    frame.get_by_label("To confirm, type").fill(company.portal().domain)
    frame.get_by_role("button", name="Delete everything").press("Enter")
    expect(frame.get_by_text("Your session has ended.")).to_be_visible()
    assert company.one("SELECT count(*) FROM people") == 0

    frame.get_by_role("link", name="Team", exact=True).press("Enter")
    expect(frame.locator("[data-client-error]")).to_contain_text("Open the app again")

    frame = open_admin(company, page)
    expect(frame.locator('[data-tally="connected"]')).to_contain_text("1")


def test_the_first_steps_lead_to_the_invitation(company: World, page: Page) -> None:
    page.goto(company.portal().page_url("anna"))
    frame = application(page)
    frame.get_by_role("link", name="Team", exact=True).press("Enter")
    steps = frame.locator("[data-first-steps]")
    expect(steps.get_by_role("button", name="Copy invitation")).to_have_count(0)

    steps.get_by_role("button", name="Everyone").press("Enter")
    expect(steps.get_by_role("button", name="Everyone")).to_have_attribute("aria-pressed", "true")
    expect(steps.get_by_role("button", name="Everyone")).to_be_focused()
    steps.get_by_role("button", name="Copy invitation").press("Enter")
    expect(steps.locator("[data-copy-result]")).to_be_visible()

    steps.get_by_role("link", name="Other languages").press("Enter")
    frame.get_by_label("Language").select_option(label="Deutsch")
    expect(frame.locator("#invitation")).to_have_attribute("lang", "de")

    frame.get_by_role("link", name="Back to Team").press("Enter")
    steps.get_by_role("button", name="Hide").press("Enter")
    expect(frame.locator(".people-chart__name").first).to_be_visible()
    expect(steps).to_have_count(0)


def test_a_request_for_access_can_be_copied(company: World, page: Page) -> None:
    open_to_everyone(company, "boris")
    page.goto(company.portal().page_url("boris"))
    frame = application(page)
    expect(frame.get_by_role("link", name="Team", exact=True)).to_be_visible()
    company.browser.post("/admin/team", data={"who": "administrators"}, headers=company.session("anna"))

    frame.get_by_role("link", name="Team", exact=True).press("Enter")
    note = frame.locator('[data-error="team_not_allowed"]')
    note.get_by_role("button", name="Copy request").press("Enter")

    expect(note.locator("[data-copy-result]")).to_be_visible()
