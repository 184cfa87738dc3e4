"""Find a time in Chromium: from "when can we talk next Thursday?" to a text in the clipboard."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.browsers import SIDEWAYS, HeldRequests, Watch, application, page, picture, violations
from tests.team_fixtures import in_english, store_people
from tests.world import World

__all__ = ["page"]

COLLEAGUES = (
    {"name": "Olena Marchuk", "calendar_zone": "Europe/Kyiv", "work_start": 540, "work_end": 1080},
    {"name": "Rafael Siqueira", "calendar_zone": "America/Sao_Paulo", "work_start": 480, "work_end": 1020},
    {"name": "Meera Vaidya", "calendar_zone": "Asia/Kolkata", "work_start": 600, "work_end": 1140},
)


@pytest.fixture
def colleagues(world: World) -> World:
    in_english(world)
    store_people(world, *COLLEAGUES)
    return world


def open_plan(world: World, page: Page) -> FrameLocator:
    page.goto(world.portal().page_url("anna"))
    frame = application(page)
    frame.get_by_role("link", name="Find a time", exact=True).press("Enter")
    expect(frame.locator("[data-plan]")).to_be_visible()
    return frame


def next_thursday(world: World) -> date:
    today = world.now().date()
    return today + timedelta(days=(3 - today.weekday()) % 7 or 7)


def add(frame: FrameLocator, text: str, name: str) -> None:
    search = frame.get_by_label("People")
    search.press_sequentially(text, delay=20)
    expect(frame.locator("[data-found]").get_by_text(name)).to_be_visible()
    search.press("ArrowDown")
    frame.locator("[data-found] a:focus").press("Enter")
    expect(frame.get_by_label(f"Remove {name}")).to_be_visible()
    # The next name can be typed at once.
    expect(search).to_be_focused()
    expect(search).to_have_value("")


def test_three_people_next_thursday_by_keyboard(colleagues: World, page: Page) -> None:
    watch = Watch(page, colleagues.bitrix24.app_url)
    frame = open_plan(colleagues, page)
    thursday = next_thursday(colleagues)

    add(frame, "olena", "Olena Marchuk")
    add(frame, "sique", "Rafael Siqueira")
    frame.get_by_label("Remove Анна Орлова").press("Enter")
    frame.locator("#plan-date").fill(thursday.isoformat())
    expect(frame.locator(".plan-outcome__day")).to_contain_text("Thursday")
    expect(frame.locator("[data-user]")).to_have_count(2)
    expect(frame.locator("#plan-title")).to_have_text("Three times when everyone is at work")

    first, second = (frame.locator(f'[data-choice="{number}"]') for number in (1, 2))
    expect(first).to_be_checked()
    shown = frame.locator(".plan-chart-row__choice:visible .plan-chart-row__times").all_text_contents()
    first.press("ArrowDown")
    expect(second).to_be_checked()
    now_shown = frame.locator(".plan-chart-row__choice:visible .plan-chart-row__times").all_text_contents()
    assert len(shown) == len(now_shown) == 2
    assert shown != now_shown

    frame.get_by_role("button", name="Copy times").press("Enter")
    expect(frame.locator("[data-copy-result]").first).to_have_text("Copied. Paste it into a message.")
    copied = frame.locator("#plan-text").input_value().splitlines()
    assert copied[0].startswith("Thursday")
    assert len(copied) == 4
    assert all("Kyiv" in line and "Sao Paulo" in line for line in copied[1:])
    picture(page, "plan-thursday", full=True)
    # The portal's frame denies the clipboard; the text is then copied the old way.
    assert [message for message in watch.messages if "Clipboard API has been blocked" not in message] == []


def test_a_day_chosen_while_the_plan_loads_is_kept(colleagues: World, page: Page) -> None:
    frame = open_plan(colleagues, page)
    add(frame, "olena", "Olena Marchuk")
    thursday = next_thursday(colleagues).isoformat()
    held = HeldRequests(page, r"/plan\?", times=1)

    frame.get_by_label("Remove Анна Орлова").press("Enter")
    removal = held.next()
    frame.locator("#plan-date").fill(thursday)
    removal.continue_()

    expect(frame.locator("[data-plan]")).to_have_attribute("data-address", re.compile(f"date={thursday}"))
    expect(frame.locator("#plan-date")).to_have_value(thursday)
    expect(frame.locator("[data-user]")).to_have_count(1)


def test_the_hour_under_the_pointer_shows_every_clock(colleagues: World, page: Page) -> None:
    frame = open_plan(colleagues, page)
    add(frame, "meera", "Meera Vaidya")

    frame.locator("[data-slider]").focus()
    frame.locator("[data-slider]").press("Home")
    for _ in range(2):
        frame.locator("[data-slider]").press("ArrowRight")

    expect(frame.locator("[data-pointer-tag]")).to_contain_text("00:30")
    expect(frame.get_by_text("At 00:30")).to_be_visible()
    clocks = frame.locator(".plan-chart-row__clock time:visible")
    expect(clocks).to_have_count(2)
    frame.locator("[data-slider]").press("Escape")
    expect(clocks).to_have_count(0)


def test_a_length_and_a_day_answer_at_once_and_keep_the_focus(colleagues: World, page: Page) -> None:
    frame = open_plan(colleagues, page)

    frame.get_by_label("1 h", exact=True).press("ArrowRight")
    expect(frame.get_by_label("1 h 30 min")).to_be_checked()
    expect(frame.locator("[data-plan]")).to_have_attribute("data-address", re.compile("minutes=90"))
    expect(frame.get_by_label("1 h 30 min")).to_be_focused()

    day = date.fromisoformat(frame.locator("#plan-date").input_value())
    frame.get_by_label("Day after").press("Enter")
    expect(frame.locator("#plan-date")).to_have_value((day + timedelta(days=1)).isoformat())
    expect(frame.get_by_label("Day after")).to_be_focused()


def test_a_table_that_was_opened_stays_open_on_another_day(colleagues: World, page: Page) -> None:
    frame = open_plan(colleagues, page)
    table = frame.get_by_role("table")
    frame.locator("summary", has_text="Hours as a table").press("Enter")
    expect(table).to_be_visible()
    first_day = frame.locator("#plan-date").input_value()

    frame.get_by_label("Day after").press("Enter")

    expect(frame.locator("#plan-date")).not_to_have_value(first_day)
    expect(table).to_be_visible()


def test_a_group_is_saved_and_chosen_again(colleagues: World, page: Page) -> None:
    frame = open_plan(colleagues, page)
    add(frame, "meera", "Meera Vaidya")
    frame.locator("summary", has_text="Saved groups").press("Enter")
    frame.get_by_label("Name of the group").fill("Support")
    frame.get_by_role("button", name="Save as a group").press("Enter")
    expect(frame.get_by_text("The group Support is saved.")).to_be_visible()

    frame.get_by_role("link", name="Find a time", exact=True).press("Enter")
    expect(frame.locator("[data-user]")).to_have_count(1)
    frame.locator(".plan-suggestions").get_by_role("link", name="Support").press("Enter")
    expect(frame.locator("[data-user]")).to_have_count(2)


@pytest.mark.parametrize(("width", "scheme", "language"), [(360, "light", "en"), (1280, "dark", "ar")])
def test_a_plan_in_every_look(colleagues: World, page: Page, width: int, scheme: str, language: str) -> None:
    colleagues.portal().people["anna"].lang = language
    page.set_viewport_size({"width": width, "height": 1800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.goto(colleagues.portal().page_url("anna"))
    frame = application(page)
    frame.locator('[href="/plan"]').press("Enter")
    # Whatever the name is, it stays inside.
    expect(frame.locator(".plan-suggestions")).to_be_visible()
    frame.locator(".plan-suggestions bdi").first.evaluate("name => { name.textContent = 'N'.repeat(200) }")
    assert frame.locator(".plan-suggestions").evaluate("it => it.scrollWidth - it.clientWidth") == 0
    frame.locator(".plan-suggestions a").first.press("Enter")
    expect(frame.locator("[data-user]")).to_have_count(2)

    inside = page.frames[1]
    picture(page, f"plan-{width}-{scheme}-{language}", full=True)
    assert violations(inside) == []
    assert inside.evaluate(SIDEWAYS) == 0
