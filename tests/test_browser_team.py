"""Team in Chromium: table, filters, export, updates, invitation, calendar days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, Route, expect
from sqlalchemy import text

from tests.browsers import SIDEWAYS, Watch, application, page
from tests.team_fixtures import NEVER_OPENED, days_ago, store_people, today_of
from tests.world import World

__all__ = ["page"]

HIRED = 70
PEOPLE = 82  # including the cast of the emulator
ZONES = ("Europe/Berlin", "Asia/Tokyo", "America/New_York", "Asia/Kolkata", "UTC")


@pytest.fixture
def company(world: World) -> World:
    """Yield a portal of eighty people without a run."""
    world.bitrix24.clock.advance(60)
    world.sync()
    store_people(
        world,
        *(
            {
                "name": f"Colleague {number:02}",
                "view": ("month", "week", "day")[number % 3],
                "calendar_zone": ZONES[number % len(ZONES)],
                "work_start": 480 + 30 * (number % 4),
            }
            for number in range(HIRED - 3)
        ),
        {"name": "Late Larry", "reminder_count": 0, "reminders": "timed:none"} | days_ago(world, 4),
        {"name": "Lost Lucy", "chain_state": "reconnect", "problem": "user_access_error"},
        {"name": "New Nina"} | NEVER_OPENED,
    )
    return world


def open_team(world: World, page: Page, person: str = "anna") -> FrameLocator:
    page.goto(world.portal().page_url(person))
    frame = application(page)
    frame.get_by_role("link", name="Team", exact=True).press("Enter")
    return frame


def open_calendar(world: World, page: Page) -> FrameLocator:
    page.goto(world.portal().page_url("anna", placement="CALENDAR_GRIDVIEW"))
    return application(page)


def day_link(frame: FrameLocator, day: date) -> Locator:
    return frame.locator(f'[data-keep="day-{day}"]')


def names(frame: FrameLocator) -> Locator:
    return frame.locator(".people-chart__name")


def test_the_table_can_be_sorted_filtered_searched_and_paged(company: World, page: Page) -> None:
    watch = Watch(page, company.bitrix24.app_url)
    frame = open_team(company, page)
    # So many people are grouped by time zone until they are sorted.
    expect(names(frame)).to_have_count(50)
    expect(frame.locator("[data-group]").first).to_be_visible()

    frame.get_by_role("link", name="Person", exact=True).press("Enter")
    expect(names(frame).first).to_have_text("Amina Wanjiru")
    frame.get_by_role("link", name="Person", exact=True).press("Enter")
    expect(names(frame).first).to_have_text("健司 佐藤")
    # The used control keeps the focus.
    expect(frame.get_by_role("link", name="Person", exact=True)).to_be_focused()

    frame.get_by_role("link", name="Next", exact=True).press("Enter")
    expect(names(frame)).to_have_count(PEOPLE - 50)
    expect(frame.locator(".pager__position")).to_have_text("Page 2 of 2")

    frame.locator("select[name=view]").focus()
    frame.locator("select[name=view]").select_option("week")
    expect(frame.locator("[data-user]")).to_have_count(23)
    expect(frame.locator("select[name=view]")).to_be_focused()

    frame.get_by_role("link", name="Clear filters").press("Enter")
    search = frame.get_by_label("Name or position")
    search.press_sequentially("lAsT", delay=20)
    expect(frame.get_by_text("No people match these filters.")).to_be_visible()
    search.fill("larry")
    expect(names(frame)).to_have_text(["Late Larry"])
    expect(search).to_be_focused()
    expect(search).to_have_value("larry")
    assert watch.messages == []


def test_a_search_typed_while_filters_are_cleared_has_none(company: World, page: Page) -> None:
    frame = open_team(company, page)
    frame.locator("select[name=view]").select_option("week")
    expect(frame.locator("[data-user]")).to_have_count(23)
    delayed: list[Route] = []
    page.route("**/team", lambda route: delayed.append(route))
    with page.expect_request("**/team"):
        frame.get_by_role("link", name="Clear filters").press("Enter")

    with page.expect_request("**/team?q=larry"):
        frame.get_by_label("Name or position").fill("larry")

    expect(names(frame)).to_have_text(["Late Larry"])
    expect(frame.locator("select[name=view]")).to_have_value("")


def test_newer_typing_aborts_an_older_search(company: World, page: Page) -> None:
    watch = Watch(page, company.bitrix24.app_url)
    frame = open_team(company, page)
    search = frame.get_by_label("Name or position")
    delayed: list[Route] = []
    page.route("**/team?q=lost", lambda route: delayed.append(route))
    with page.expect_request("**/team?q=lost"):
        search.press_sequentially("lost")

    search.fill("larry")

    expect(names(frame)).to_have_text(["Late Larry"])
    expect(search).to_have_value("larry")
    assert len(delayed) == 1
    assert watch.messages == []


def test_the_export_has_the_filters_of_the_page(company: World, page: Page) -> None:
    frame = open_team(company, page)
    frame.locator("select[name=state]").select_option("reconnect")
    expect(names(frame)).to_have_text(["Lost Lucy"])

    with page.expect_download() as caught:
        frame.locator("summary", has_text="Export").press("Enter")
        frame.get_by_role("button", name="CSV").press("Enter")

    host = company.portal().domain.replace(":", "-")
    assert caught.value.suggested_filename == f"team-{host}-{today_of(company)}.csv"
    expect(frame.get_by_role("button", name="CSV")).to_be_hidden()
    lines = Path(caught.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[1] for line in lines] == ["Name", "Lost Lucy"]


def test_a_choice_before_the_scripts_is_replayed(company: World, page: Page) -> None:
    delayed: list[Route] = []
    page.route("**/js/team.js", lambda route: delayed.append(route))
    with page.expect_request("**/js/team.js"):
        frame = open_team(company, page)
    expect(frame.get_by_role("heading", name="My settings")).to_be_visible()
    delayed.pop().continue_()
    frame.locator("select[name=state]").select_option("reconnect")
    expect(names(frame)).to_have_text(["Lost Lucy"])

    page.unroute_all()
    page.route("**/js/app.js", lambda route: delayed.append(route))
    page.goto(company.portal().page_url("anna", placement="CALENDAR_GRIDVIEW"))
    frame.locator("select[name=state]").select_option("reconnect")
    frame.get_by_label("Name or position").press("Enter")
    for route in delayed:
        route.continue_()
    expect(names(frame)).to_have_text(["Lost Lucy"])


def test_a_missing_script_does_not_stop_the_others(company: World, page: Page) -> None:
    page.route("**/js/team.js", lambda route: route.abort())
    page.goto(company.portal().page_url("anna", placement="CALENDAR_GRIDVIEW"))
    frame = application(page)
    expect(frame.locator("[data-client-error=offline]")).to_be_visible()

    frame.get_by_role("link", name="My settings").press("Enter")

    expect(frame.get_by_role("heading", name="My settings", level=1)).to_be_visible()


def test_an_update_can_be_started_and_followed_across_a_reload(company: World, page: Page) -> None:
    watch = Watch(page, company.bitrix24.app_url)
    frame = open_team(company, page)
    expect(frame.get_by_role("heading", name="Team", level=1)).to_be_visible()
    frame.get_by_role("button", name="Update now").press("Enter")
    expect(frame.locator("[data-run-text]")).to_have_text("The update is about to start.")
    expect(frame.get_by_role("button", name="Cancel")).to_be_focused()

    _running(company, done=30)
    expect(frame.locator("[data-run-text]")).to_contain_text("30 of 70 updated")
    expect(frame.get_by_role("progressbar")).to_have_attribute("value", "30")

    frame = open_team(company, page)
    expect(frame.locator("[data-run-text]")).to_contain_text("30 of 70 updated")

    with company.database.write_session() as session:
        session.execute(
            text("UPDATE runs SET state = 'done', done = 70, finished_at = :now WHERE finished_at IS NULL"),
            {"now": f"{company.now():%Y-%m-%d %H:%M:%S.%f}"},
        )
    expect(frame.locator("[data-as-of]")).to_contain_text("Updated at")
    expect(frame.get_by_role("button", name="Update now")).to_be_visible()
    assert watch.messages == []


def test_an_update_can_be_canceled(company: World, page: Page) -> None:
    frame = open_team(company, page)
    expect(frame.get_by_role("heading", name="Team", level=1)).to_be_visible()
    frame.get_by_role("button", name="Update now").press("Enter")

    frame.get_by_role("button", name="Cancel").press("Enter")

    expect(frame.locator("[data-as-of]")).to_contain_text("The last update was canceled")
    assert company.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0


def _running(world: World, *, done: int) -> None:
    with world.database.write_session() as session:
        session.execute(
            text(
                "UPDATE runs SET state = 'running', directory_read = true, total = 70, done = :done"
                " WHERE finished_at IS NULL"
            ),
            {"done": done},
        )


def test_the_invitation_can_be_copied_without_the_clipboard(company: World, page: Page) -> None:
    frame = open_team(company, page)
    frame.get_by_role("button", name="Copy invitation").press("Enter")

    expect(frame.locator("[data-copy-result]")).to_be_visible()
    marked = page.frames[1].evaluate("document.getSelection().toString() || document.activeElement.value")
    assert "/marketplace/view/" in marked or frame.locator("[data-copy-result]").inner_text().startswith("Copied")


def test_an_administrator_opens_the_team_to_everyone(company: World, page: Page) -> None:
    frame = application(page)
    page.goto(company.portal().page_url("boris"))
    expect(frame.get_by_role("heading", name="My settings", level=1)).to_be_attached()
    expect(frame.get_by_role("link", name="Team", exact=True)).to_have_count(0)

    page.goto(company.portal().page_url("anna"))
    frame.get_by_role("link", name="Admin").press("Enter")
    frame.get_by_label("All employees").check()
    frame.get_by_role("button", name="Save").press("Enter")
    expect(frame.locator("[data-switched]")).to_contain_text("Decided by Анна Орлова")
    expect(frame.get_by_role("button", name="Save")).to_be_focused()

    frame = open_team(company, page, "boris")
    expect(names(frame)).to_have_count(50)
    expect(frame.get_by_role("button", name="Update now")).to_have_count(0)


def test_a_day_of_the_calendar_can_be_chosen(company: World, page: Page) -> None:
    page.goto(company.portal().page_url("anna", placement="CALENDAR_GRIDVIEW"))
    frame = application(page)
    expect(frame.locator(".days__day")).to_have_count(42)
    saturday = frame.locator(".days__day").nth(5)

    saturday.click()

    expect(saturday).to_have_attribute("aria-current", "date")
    expect(saturday).to_be_focused()
    expect(frame.locator(".team-summary__text")).to_contain_text("A day off in this portal")


def test_the_days_follow_the_portals_calendar(company: World, page: Page) -> None:
    watch = Watch(page, company.bitrix24.app_url)
    frame = open_calendar(company, page)
    expect(frame.locator(".days__day")).to_have_count(42)
    page.wait_for_function("portalFrame.bound.size === 3")
    today = company.now().date()  # as the emulated calendar, which begins with the month in UTC
    months = [date(today.year + (today.month + n - 1) // 12, (today.month + n - 1) % 12 + 1, 1) for n in range(4)]

    # Twice before the first answer has come.
    page.locator("[data-control=later]").press("Enter")
    page.locator("[data-control=later]").press("Enter")
    expect(day_link(frame, months[2])).to_have_attribute("aria-current", "date")

    page.locator("[data-control=later]").press("Enter")
    expect(day_link(frame, months[3])).to_have_attribute("aria-current", "date")

    page.locator("[data-control=earlier]").press("Enter")
    expect(day_link(frame, months[2])).to_have_attribute("aria-current", "date")

    page.locator("[data-control=date]").fill("2031-08-14")
    expect(day_link(frame, date(2031, 8, 14))).to_have_attribute("aria-current", "date")
    expect(frame.locator(".team-summary__day")).to_have_text("Thursday, August 14, 2031")
    assert watch.messages == []


def test_the_days_are_one_tab_stop_with_arrow_keys(company: World, page: Page) -> None:
    frame = open_calendar(company, page)
    chosen = frame.locator(".days [aria-current]")
    expect(chosen).to_be_visible()
    links = frame.locator(".days a")
    first = links.all()[0].get_attribute("href")
    assert first is not None

    chosen.press("Home")
    expect(links.first).to_be_focused()
    links.first.press("ArrowLeft")
    links.first.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    expect(frame.locator('.days [tabindex="0"]')).to_have_count(1)
    links.nth(1).press("Enter")

    expect(frame.locator(".days [aria-current]")).to_be_focused()
    expect(links.nth(1)).to_have_attribute("aria-current", "date")
    links.nth(1).press("Tab")
    expect(frame.locator(".days a:focus")).to_have_count(0)


@pytest.mark.usefixtures("working_day")
def test_the_answer_is_above_the_fold_in_the_calendar(company: World, page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    frame = open_calendar(company, page)
    answer = frame.locator(".team-summary__text")
    expect(answer).to_contain_text("Most people")

    box = answer.bounding_box()

    assert box is not None
    assert box["y"] + box["height"] < 720


def test_search_and_filters_work_on_a_phone(company: World, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    frame = open_team(company, page)

    frame.get_by_label("Name or position").fill("nina")

    expect(names(frame)).to_have_text(["New Nina"])
    assert page.frames[1].evaluate(SIDEWAYS) == 0


def test_selected_people_go_to_find_a_time(company: World, page: Page) -> None:
    frame = open_team(company, page)
    frame.get_by_role("link", name="Person", exact=True).press("Enter")
    bar = frame.locator("[data-selection]")
    expect(frame.locator("[data-group]")).to_have_count(0)
    expect(bar).to_be_hidden()

    for name in ("Colleague 00", "Colleague 05"):
        frame.get_by_role("checkbox", name=f"Select {name}").focus()
        page.keyboard.press("Space")
    expect(bar).to_contain_text("2 selected")
    # The selection stays while the list shows other people.
    frame.get_by_label("Name or position").fill("larry")
    expect(names(frame)).to_have_text(["Late Larry"])
    frame.get_by_role("checkbox", name="Select Late Larry").focus()
    page.keyboard.press("Space")
    expect(bar).to_contain_text("3 selected")
    expect(bar).to_contain_text("Colleague 00, Colleague 05, Late Larry")

    with page.expect_request("**/plan?people=5001,5006,5068"):
        bar.get_by_role("link", name="Find a time for 3").press("Enter")
    expect(frame.get_by_role("heading", name="Find a time", level=1)).to_be_attached()


def test_groups_fold_and_stay_so(company: World, page: Page) -> None:
    frame = open_team(company, page)
    headings = frame.locator("[data-fold]")
    expect(headings.first).to_have_attribute("aria-expanded", "true")
    # The last is the reader's own.
    expect(headings.last).to_have_attribute("aria-expanded", "true")
    key = frame.locator('[data-fold][aria-expanded="false"]').last.get_attribute("data-keep")
    heading = frame.locator(f'[data-keep="{key}"]')
    # Folded rows are on the page, but are not shown.
    expect(frame.locator("[data-user]")).to_have_count(50)
    folded = frame.locator(f'.people-chart__body:has([data-keep="{key}"]) [data-user]')
    expect(folded.first).to_be_hidden()

    heading.press("Enter")
    expect(folded.first).to_be_visible()
    frame.locator("[data-fold]").first.press("Enter")
    frame.get_by_role("link", name="Next day").press("Enter")

    expect(frame.get_by_role("link", name="Today", exact=True)).to_be_visible()
    expect(headings.first).to_have_attribute("aria-expanded", "false")
    expect(heading).to_have_attribute("aria-expanded", "true")


def test_a_row_unfolds_to_what_narrow_screens_leave_out(company: World, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    frame = open_team(company, page)
    row = frame.locator("[data-user]").first

    row.locator("summary").press("Enter")

    for words in ("View", "Timed events", "Time zone from", "Open profile"):
        expect(row.get_by_text(words).first).to_be_visible()
    assert page.frames[1].evaluate(SIDEWAYS) == 0
    inside = page.frames[1].evaluate("""() => {
      const { left, right } = document.querySelector("[open] > .people-chart__details").getBoundingClientRect();
      return [left, innerWidth - right];
    }""")
    assert min(inside) >= 0


def test_a_message_to_somebody_who_never_opened_it_opens_the_portals_chat(company: World, page: Page) -> None:
    frame = open_team(company, page)
    row = frame.locator('[data-state="never"]').first
    row.locator("summary").press("Enter")

    row.get_by_role("link", name="Write a message").press("Enter")

    person = row.get_attribute("data-user")
    page.wait_for_function(
        "id => portalFrame.seen.some((each) => each.command === 'imOpenMessenger' && each.params.dialogId === id)",
        arg=person,
    )
