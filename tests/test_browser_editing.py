"""Editing in place in Chromium: view, undo, reminders, a failure, keys alone."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.browsers import SIDEWAYS, Watch, application, page, picture, violations
from tests.emulator import Fault
from tests.world import World

__all__ = ["page"]

ANNOUNCED = "#announce"


def stored(world: World) -> dict[str, Any]:
    return world.portal().people["boris"].settings


def opened(world: World, page: Page, *, lang: str = "en") -> FrameLocator:
    world.portal().people["boris"].lang = lang
    page.goto(world.portal().page_url("boris"))
    frame = application(page)
    expect(frame.locator("html")).to_have_attribute("data-ready", "")
    return frame


def switch(frame: FrameLocator, name: str) -> Locator:
    return frame.get_by_role("switch", name=name)


def test_a_person_changes_the_view_takes_it_back_and_changes_reminders(world: World, page: Page) -> None:
    watch = Watch(page, world.bitrix24.app_url)
    frame = opened(world, page)
    picture(page, "edit-1-idle", full=True)

    frame.get_by_role("button", name="Change view").press("Enter")
    expect(frame.get_by_role("button", name="Day", exact=True)).to_be_focused()
    picture(page, "edit-2-view", full=True)
    frame.get_by_role("button", name="Week", exact=True).press("Enter")

    expect(frame.locator("[data-state=saved]")).to_contain_text("Saved. It was: Month.")
    expect(frame.locator(ANNOUNCED)).to_have_text("Saved: View.")
    expect(frame.get_by_role("button", name="Change view")).to_be_focused()
    assert stored(world)["view"] == "week"
    picture(page, "edit-3-saved", full=True)

    frame.locator("[data-state=saved]").get_by_role("button", name="Undo").press("Enter")

    expect(frame.locator(ANNOUNCED)).to_have_text("Undone: View.")
    expect(frame.get_by_role("button", name="Change view")).to_be_focused()
    assert stored(world)["view"] == "month"

    frame.get_by_role("button", name="Change reminders").press("Enter")
    timed = frame.get_by_role("group", name="Events with a time")
    timed.get_by_label("How many").fill("1")
    timed.get_by_label("When").select_option("hours before")
    timed.get_by_role("button", name="Add").press("Enter")
    expect(timed.get_by_role("listitem").last).to_contain_text("1 hour before")
    picture(page, "edit-4-reminders", full=True)
    timed.get_by_role("button", name="Remove 50 minutes before").press("Enter")
    all_day = frame.get_by_role("group", name="All-day events")
    all_day.get_by_label("When").select_option("days before, at")
    all_day.get_by_label("Time of day").fill("18:00")
    # What was chosen is saved, whether "Add" was pressed or not.
    frame.get_by_role("button", name="Save reminders").press("Enter")

    expect(frame.locator(ANNOUNCED)).to_have_text("Saved: Reminders.")
    assert stored(world)["defaultReminders"] == {
        "withTime": [{"type": "hour", "count": 1}],
        "fullDay": [{"type": "min", "count": 15}, {"type": "daybefore", "before": 1, "time": 1080}],
    }
    picture(page, "edit-5-reminders-saved", full=True)
    assert watch.messages == []


def test_the_editor_writes_reminders_as_the_server_does(world: World, page: Page) -> None:
    frame = opened(world, page)
    frame.get_by_role("button", name="Change reminders").press("Enter")
    timed = frame.get_by_role("group", name="Events with a time")

    for count, unit, text in (
        ("0", "minutes before", "At the start"),
        ("1", "minutes before", "1 minute before"),
        ("120", "minutes before", "2 hours before"),
        ("1", "days before", "1 day before"),
        ("", "on the day, at", "08:00 on the day"),
        ("1", "days before, at", "08:00 the day before"),
        ("3", "days before, at", "08:00, 3 days before"),
    ):
        timed.get_by_label("When").select_option(unit)
        if count:
            timed.get_by_label("How many").fill(count)
        timed.get_by_role("button", name="Add").press("Enter")
        expect(timed.get_by_role("listitem").last).to_contain_text(text)

    frame.get_by_role("button", name="Cancel").press("Enter")
    expect(frame.get_by_role("button", name="Change reminders")).to_be_focused()
    frame.get_by_role("button", name="Change reminders").press("Enter")
    expect(timed.get_by_role("listitem")).to_have_count(1)


def test_a_switch_says_what_was_and_stays_said(world: World, page: Page) -> None:
    frame = opened(world, page)

    switch(frame, "Week numbers").press(" ")
    expect(frame.locator("[data-state=saved]")).to_contain_text("Saved. It was off. Undo")
    expect(switch(frame, "Week numbers")).to_be_checked()
    expect(switch(frame, "Week numbers")).to_be_focused()
    switch(frame, "Events I declined").press("Enter")

    expect(frame.locator("[data-state=saved]:visible")).to_have_count(2)
    assert (stored(world)["showWeekNumbers"], stored(world)["showDeclined"]) == ("Y", False)


def test_without_an_answer_the_old_value_is_back(world: World, page: Page) -> None:
    frame = opened(world, page)
    expect(switch(frame, "Week numbers")).not_to_be_checked()
    world.bitrix24.faults.add(Fault("status:500", method="calendar.user.settings.get", times=1))

    switch(frame, "Week numbers").press(" ")

    failed = frame.locator("[data-state=failed]")
    expect(failed).to_contain_text("Not saved. Bitrix24 didn't answer.")
    expect(frame.locator(ANNOUNCED)).to_have_text("Not saved. Bitrix24 didn't answer.")
    expect(switch(frame, "Week numbers")).not_to_be_checked()
    picture(page, "edit-6-failed", full=True)
    failed.get_by_role("button", name="Try again").press("Enter")

    expect(frame.locator("[data-state=saved]")).to_contain_text("Saved. It was off.")
    assert stored(world)["showWeekNumbers"] == "Y"


def test_while_it_is_saved_the_new_value_shows_and_a_second_press_does_nothing(world: World, page: Page) -> None:
    frame = opened(world, page)
    held = world.bitrix24.faults.add(Fault("hold", method="calendar.user.settings.set"))
    world.bitrix24.clear()

    switch(frame, "Week numbers").press(" ")
    row = frame.locator('[data-setting="showWeekNumbers"]')
    expect(row).to_have_attribute("aria-busy", "true")
    expect(row).to_contain_text("Saving…")
    expect(switch(frame, "Week numbers")).to_be_checked()
    picture(page, "edit-7-saving", full=True)
    switch(frame, "Week numbers").press(" ")
    held.released.set()

    expect(frame.locator("[data-state=saved]")).to_contain_text("Saved. It was off.")
    methods = [record.method for record in world.bitrix24.requests]
    assert methods.count("calendar.user.settings.set") == 1


def test_a_calendar_tab_that_saved_the_old_values_is_seen(world: World, page: Page) -> None:
    tab = world.portal().calendar_tab("boris")
    frame = opened(world, page)
    switch(frame, "Week numbers").press(" ")
    expect(frame.locator("[data-state=saved]")).to_be_visible()
    tab.save()

    frame.locator("[data-refresh]").press("Enter")

    reverted = frame.locator("[data-state=reverted]")
    expect(reverted).to_contain_text("Changed back.")
    picture(page, "edit-8-reverted", full=True)
    reverted.get_by_role("button", name="Turn on again").press("Enter")
    expect(frame.locator("[data-state=saved]")).to_contain_text("Saved. It was off.")
    expect(switch(frame, "Week numbers")).to_be_focused()
    assert stored(world)["showWeekNumbers"] == "Y"


def test_on_a_phone_what_was_saved_is_in_sight(world: World, page: Page) -> None:
    """The page becomes shorter when the editor closes."""
    page.set_viewport_size({"width": 360, "height": 500})
    frame = opened(world, page)
    frame.get_by_role("button", name="Change reminders").press("Enter")
    frame.get_by_role("button", name="Remove 50 minutes before").press("Enter")
    frame.get_by_role("button", name="Save reminders").scroll_into_view_if_needed()
    frame.get_by_role("button", name="Save reminders").press("Enter")

    expect(frame.locator("[data-state=saved]")).to_be_in_viewport()


def test_pages_with_editors_are_accessible_and_fit_a_phone(world: World, page: Page) -> None:
    for lang, scheme, width in (("en", "light", 360), ("ar", "dark", 360), ("ar", "light", 1280), ("de", "dark", 1280)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        frame = opened(world, page, lang=lang)
        frame.locator("[data-open-editor=reminder-editor]").press("Enter")
        frame.locator("[data-open-editor=view-editor]").press("Enter")
        expect(frame.locator("#view-editor")).to_be_visible()

        assert page.frames[1].evaluate(SIDEWAYS) == 0, (lang, width)
        assert violations(page.frames[1]) == [], (lang, scheme)
        picture(page, f"edit-9-{lang}-{scheme}-{width}", full=True)
