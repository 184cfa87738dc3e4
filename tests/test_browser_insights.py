"""Insights in Chromium, for administrators and for others."""

from __future__ import annotations

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.browsers import application, page
from tests.team_fixtures import open_to_everyone, store_people
from tests.world import World

__all__ = ["page"]

ZONES = ("Europe/Berlin", "Europe/Moscow", "America/New_York", "Asia/Kolkata", "Asia/Tokyo")
VIEWS = ("month", "month", "week", "day", "list", "custom_7", "")


@pytest.fixture
def company(world: World) -> World:
    """Give a portal of sixty, whose administrator opened the team to everyone."""
    store_people(
        world,
        *(
            {
                "name": f"Colleague {number:02}",
                "calendar_zone": ZONES[number % 7 % len(ZONES)],
                "work_start": (480, 540, 600, 1320)[number % 4],
                "work_end": (1020, 1080, 1140, 360)[number % 4],
                "view": VIEWS[number % len(VIEWS)],
                "reminder_count": (2, 2, 1, 0, 2, None)[number % 6],
                "habits": f"{'Y' if number % 9 else 'N'}NNNY{'Y' if number % 8 == 0 else 'N'}N "
                + ("timed:15min;day:0d@08:00", "timed:1hour")[number % 2],
            }
            for number in range(60)
        ),
    )
    open_to_everyone(world, "boris")
    return world


def open_insights(world: World, page: Page, person: str) -> FrameLocator:
    page.goto(world.portal().page_url(person))
    frame = application(page)
    frame.get_by_role("link", name="Insights", exact=True).press("Enter")
    expect(frame.get_by_role("heading", name="Insights", level=1)).to_be_visible()
    return frame


def test_a_finding_links_to_its_people(company: World, page: Page) -> None:
    frame = open_insights(company, page, "anna")
    unreminded = frame.locator('[data-finding="unreminded"]')
    expect(unreminded).to_contain_text("10 people have no default reminder.")

    unreminded.get_by_role("link", name="See who").press("Enter")

    expect(frame.get_by_role("heading", name="Team", level=1)).to_be_visible()
    expect(frame.locator("[data-user]")).to_have_count(10)
    expect(frame.get_by_role("link", name="Team", exact=True)).to_have_attribute("aria-current", "page")


def test_a_name_links_to_its_row_on_team(company: World, page: Page) -> None:
    frame = open_insights(company, page, "anna")

    refusing = frame.locator('[data-finding="refusing"]')
    expect(refusing).to_contain_text("and 2 more")
    name = refusing.get_by_role("link").first.inner_text()

    refusing.get_by_role("link").first.press("Enter")

    expect(frame.locator("[data-user]")).to_have_count(1)
    expect(frame.locator(".people-chart__name")).to_have_text(name)


def test_others_see_no_links_to_people(company: World, page: Page) -> None:
    frame = open_insights(company, page, "boris")

    expect(frame.locator('[data-finding="unreminded"]')).to_be_visible()
    expect(frame.locator("main").get_by_role("link")).to_have_count(0)
