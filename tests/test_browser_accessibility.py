"""Keyboard, touch, print, reduced motion and layout shift in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect
from sqlalchemy import text

from tests.browsers import SIDEWAYS, application, new_context, page
from tests.journeys import ADMIN, INSIGHTS, TEAM, bring_people
from tests.world import World

__all__ = ["page"]

# The names of all visible controls, in the order of the page.
CONTROLS = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [role=slider]')]
  .filter((each) => each.checkVisibility() && !each.disabled && each.type !== 'hidden')
  .map((each) => each.name || each.textContent.trim())"""
FOCUS = """() => {
  const focused = document.activeElement;
  const style = getComputedStyle(focused);
  const visible = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return [focused.name || focused.textContent.trim(), visible];
}"""
# Chromium ignores shifts within half a second of a click, but nothing is clicked here. Shifts before the first
# paint are invisible: Chromium lays a frame out while the stylesheet loads, but does not paint it.
SHIFTS = """() => new Promise((resolve) => {
  let sum = 0;
  const [paint] = performance.getEntriesByName('first-contentful-paint');
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.startTime >= paint.startTime) sum += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
  setTimeout(() => resolve(sum), 700);
})"""
# What a finger cannot well press: lower or narrower than 44 pixels, or a radio button outside its label.
TOO_SMALL = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
  .filter((each) => each.checkVisibility() && !each.closest('.visually-hidden, .skip, label.admin-choice'))
  .filter((each) => each.offsetWidth < 44 || each.offsetHeight < 44)
  .map((each) => each.name || each.textContent.trim())"""
# How far each hour under a picture of a day stands from its place, and each bar from its hours.
OFF_THE_HOUR = """() => [...document.querySelectorAll('.scale')].flatMap((scale) => {
  const svg = scale.parentElement.querySelector('svg');
  const frame = svg.getBoundingClientRect();
  const rtl = getComputedStyle(scale).direction === 'rtl';
  const [begin, way] = rtl ? [frame.right, -frame.width] : [frame.left, frame.width];
  const place = (minute) => begin + way * minute / 1440;
  const middle = (each) => (each.getBoundingClientRect().left + each.getBoundingClientRect().right) / 2;
  const hours = [...scale.children].map((each) => middle(each) - place(each.textContent * 60));
  const bars = [...svg.querySelectorAll('rect')].map((each) => {
    const { x, width } = each;
    return middle(each) - place(x.baseVal.value + width.baseVal.value / 2);
  });
  return [...hours, ...bars];
}).map(Math.abs)"""
# Words that break across lines without a hyphen or space.
BROKEN_WORDS = r"""() => {
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  const broken = [];
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (!text.parentElement.checkVisibility() || text.parentElement.closest('.visually-hidden')) continue;
    for (const word of text.data.matchAll(/[\p{L}\p{M}\p{N}]+/gu)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].filter(({ width }) => width).map(({ top }) => top));
      if (lines.size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""
TALLEST_DAY = """() => {
  const lines = (each) => {
    const { lineHeight, paddingTop } = getComputedStyle(each);
    return Math.round((each.clientHeight - 2 * parseFloat(paddingTop)) / parseFloat(lineHeight));
  };
  return Math.max(...[...document.querySelectorAll('.days__day')].map(lines));
}"""
MOVING = "() => document.getAnimations().filter((each) => each.effect.getTiming().duration > 0).length"


@pytest.fixture
def company(world: World) -> World:
    world.sync()
    bring_people(world)
    return world


def wait_for_styles(frame: FrameLocator) -> None:
    """Wait until the first page is laid out: its script runs after its stylesheet has come."""
    expect(frame.locator("html")).to_have_attribute("data-ready", "")


def open_team(world: World, page: Page) -> FrameLocator:
    page.goto(world.portal().page_url("anna"))
    frame = application(page)
    expect(frame.locator("[data-refresh]")).to_be_visible()
    page.frames[1].evaluate(f"document.querySelector('{TEAM}').click()")
    expect(frame.locator("[data-team]")).to_be_visible()
    return frame


def test_every_control_of_team_has_visible_keyboard_focus(company: World, page: Page) -> None:
    frame = open_team(company, page)
    inside = page.frames[1]
    controls = inside.evaluate(CONTROLS)
    frame.locator(".skip").focus()

    walked = [inside.evaluate(FOCUS)]
    for _ in controls[1:]:
        page.keyboard.press("Tab")
        walked.append(inside.evaluate(FOCUS))

    assert [name for name, _seen in walked] == controls
    assert [name for name, visible in walked[1:] if not visible] == []


def test_pages_load_without_layout_shift(company: World, chromium: Browser) -> None:
    # Far from where their calendar is, which the browser alone can say, above what is there already.
    context = new_context(chromium, viewport={"width": 1280, "height": 900}, timezone_id="Asia/Tokyo")
    page = context.new_page()
    frame = application(page)
    page.goto(company.portal().page_url("anna"))
    expect(frame.locator("[data-disagreement=browser]")).to_be_visible()

    assert page.frames[1].evaluate(SHIFTS) == 0

    frame.locator(TEAM).first.press("Enter")
    expect(frame.locator("[data-team]")).to_be_visible()

    assert page.frames[1].evaluate(SHIFTS) == 0
    context.close()


def test_reduced_motion_is_respected(company: World, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    frame = open_team(company, page)
    company.bitrix24.latency = 1.0
    page.frames[1].evaluate("document.querySelector('[data-page]').click()")

    expect(frame.locator("[data-refresh]")).to_be_visible()
    frame.locator("[data-refresh]").click()

    expect(frame.locator("[data-refresh]")).to_have_attribute("aria-busy", "true")
    assert page.frames[1].evaluate(MOVING) == 0


@pytest.mark.parametrize("language", ["en", "ar"])
def test_hours_are_aligned_with_the_chart_in_both_directions(company: World, page: Page, language: str) -> None:
    company.portal().people["anna"].lang = language
    page.goto(company.portal().page_url("anna"))
    frame = application(page)
    wait_for_styles(frame)
    off = page.frames[1].evaluate(OFF_THE_HOUR)

    for step, there in ((TEAM, "[data-team]"), (INSIGHTS, "[data-insights]")):
        frame.locator(step).first.press("Enter")
        expect(frame.locator(there)).to_be_visible()
        off += page.frames[1].evaluate(OFF_THE_HOUR)

    assert len(off) > 40
    assert max(off) < 1.5


def test_every_control_is_large_enough_for_touch(company: World, chromium: Browser) -> None:
    recommended = {"showWeekNumbers": "Y", "advice.hours": "09:00 – 18:00"}
    company.browser.post("/admin/recommended", data=recommended, headers=company.session("anna"))
    context = new_context(chromium, viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(company.portal().page_url("anna"))
    frame = application(page)
    wait_for_styles(frame)
    small = {"me": page.frames[1].evaluate(TOO_SMALL)}

    for step in (TEAM, ".people-chart__more-button", INSIGHTS, ADMIN, "#log > summary", '[href="/admin/calls"]'):
        frame.locator(step).first.press("Enter")
        expect(frame.locator(".main[aria-busy]")).to_have_count(0)
        expect(frame.locator("[aria-current=page]")).to_be_attached()
        small[step] = page.frames[1].evaluate(TOO_SMALL)
    context.close()

    assert {step: controls for step, controls in small.items() if controls} == {}


@pytest.mark.parametrize(("width", "person_column"), [(1280, 200), (360, 132)])
def test_lines_break_between_words(company: World, page: Page, width: int, person_column: int) -> None:
    with company.database.write_session() as session:
        session.execute(text("UPDATE people SET position = 'Consultant en automatisation'"))
    page.set_viewport_size({"width": width, "height": 900})
    company.portal().people["anna"].lang = "de"
    page.goto(company.portal().page_url("anna"))
    frame = application(page)
    wait_for_styles(frame)
    assert page.frames[1].evaluate(BROKEN_WORDS) == []

    page.goto(company.portal().page_url("anna", placement="CALENDAR_GRIDVIEW"))
    wait_for_styles(frame)
    expect(frame.locator(".days")).to_be_visible()

    assert page.frames[1].evaluate(BROKEN_WORDS) == []
    assert page.frames[1].evaluate(SIDEWAYS) == 0
    # A line for the weekday and one for the date.
    assert page.frames[1].evaluate(TALLEST_DAY) <= 2
    row = frame.locator("[data-user]").first
    column = row.get_by_role("rowheader").bounding_box()
    assert column
    assert column["width"] >= person_column


def test_a_phone_shows_the_first_person_at_once(company: World, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 720})
    frame = open_team(company, page)
    expect(frame.locator(".people-chart__name").first).to_be_visible()
    end_of_the_first = """document.querySelector('.people-chart__name').getBoundingClientRect().bottom"""

    assert page.frames[1].evaluate(end_of_the_first) < 240
    # So few people have no groups.
    frame.get_by_label("Name or position").fill("colleague 0")
    expect(frame.locator("[data-group]")).to_have_count(0)
    rows = page.frames[1].evaluate(
        """[...document.querySelectorAll('[data-user]')].map((row) => {
          const { height, bottom } = row.getBoundingClientRect();
          return [height, bottom];
        })"""
    )
    assert page.frames[1].evaluate(end_of_the_first) < 240
    assert max(height for height, _bottom in rows) <= 76
    # The row of a twelfth person ends above 1,200 pixels.
    assert rows[0][1] + 11 * rows[0][0] < 1200


@pytest.mark.usefixtures("working_day")
@pytest.mark.parametrize(("language", "forwards"), [("en", "ArrowRight"), ("ar", "ArrowLeft")])
def test_the_hours_can_be_walked_by_key(company: World, page: Page, language: str, forwards: str) -> None:
    company.portal().people["anna"].lang = language
    frame = open_team(company, page)
    slider = frame.get_by_role("slider")

    slider.press("Home")
    slider.press(forwards)

    expect(slider).to_have_attribute("aria-valuenow", "15")
    expect(frame.locator("[data-pointer-tag]")).to_contain_text("00:15 ·")
    # Berlin is an hour behind Moscow in September.
    person = frame.locator('[data-user][data-timezone="Europe/Berlin"] time').first
    expect(person).to_have_text("23:15")
    expect(person).to_have_attribute("data-held", "")

    slider.press("Escape")

    expect(frame.locator("[data-pointer-tag]")).to_be_hidden()
    expect(person).not_to_have_text("23:15")


def test_team_prints_its_chart_and_table(company: World, page: Page) -> None:
    frame = open_team(company, page)

    page.emulate_media(media="print")

    for removed in (".bar__nav", ".head__actions", ".filters__field", "[data-copy]"):
        expect(frame.locator(removed).first).to_be_hidden()
    expect(frame.locator(".people-chart__day").first).to_be_visible()
    expect(frame.locator("[data-user]").first).to_be_visible()
