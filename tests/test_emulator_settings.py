"""The emulator stores calendar settings as Bitrix24 does; the official b24pysdk is its judge where it can say it."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from b24pysdk import Client, errors

from tests.emulator import Emulator, Portal
from tests.emulator.people import fresh_settings
from tests.emulator.user_settings import SETTABLE
from tests.emulator_fixtures import bitrix24, stand_in
from tests.test_emulator_rest import alpha, loopback, token_of
from tests.waiting import HANG_SECONDS

__all__ = ["alpha", "bitrix24", "loopback", "stand_in"]

METHOD = "calendar.user.settings.set"


def settings_of(bitrix24: Emulator, portal: Portal, key: str) -> Any:
    return Client(token_of(bitrix24, portal, key)).calendar.user.settings


def form(portal: Portal, key: str, **fields: str) -> dict[str, Any]:
    """Call the method with a form, in which everything is text."""
    data = {"auth": portal.open_as(key).access_token, **fields}
    answer: dict[str, Any] = requests.post(f"{portal.client_endpoint}{METHOD}", data=data, timeout=HANG_SECONDS).json()
    return answer


def test_given_keys_are_merged_and_the_others_stay(bitrix24: Emulator, alpha: Portal) -> None:
    settings = settings_of(bitrix24, alpha, "anna")
    before = settings.get().result
    reminders = {"withTime": [{"type": "min", "count": 10}]}

    assert settings.set({"view": "list", "defaultReminders": reminders}).result is True

    # One level deep: the other half of the reminders is gone, as it was not given.
    assert settings.get().result == before | {"view": "list", "defaultReminders": reminders}


def test_unknown_keys_are_dropped_and_the_answer_is_true(bitrix24: Emulator, alpha: Portal) -> None:
    settings = settings_of(bitrix24, alpha, "boris")
    before = settings.get().result

    given = {"tabId": "x", "work_time_start": "7.00", "timezoneName": "Asia/Tokyo", "crmSection": 9}
    assert settings.set(given).result is True

    assert settings.get().result == before | {"crmSection": 9}


def test_everything_it_returned_may_be_sent_back(bitrix24: Emulator, alpha: Portal) -> None:
    settings = settings_of(bitrix24, alpha, "boris")
    before = settings.get().result

    assert settings.set(before).result is True

    assert settings.get().result == before


@pytest.mark.parametrize(
    ("given", "read"), [("Y", True), ("N", True), ("false", True), ("0", False), ("", False), (0, False), (None, None)]
)
def test_two_keys_are_cast_as_php_casts(bitrix24: Emulator, alpha: Portal, given: Any, read: bool | None) -> None:
    settings = settings_of(bitrix24, alpha, "julia")

    settings.set({"showDeclined": given, "denyBusyInvitation": given, "showTasks": given, "view": given}).call()

    result = settings.get().result
    assert (result["showDeclined"], result["denyBusyInvitation"]) == (read, read)
    assert (result["showTasks"], result["view"]) == (given, given)  # nothing is validated


@pytest.mark.parametrize("key", ["defaultReminders", "defaultSections"])
@pytest.mark.parametrize("scalar", [False, None, "", "banana"])
def test_a_scalar_for_a_nested_key_breaks_everything(bitrix24: Emulator, alpha: Portal, key: str, scalar: Any) -> None:
    settings = settings_of(bitrix24, alpha, "julia")

    assert settings.set({key: scalar}).result is True

    for call in (settings.get(), settings.set({key: {}})):
        with pytest.raises(errors.BitrixAPIBadRequest) as caught:
            call.call()
        assert caught.value.json_response["error"] == "ERROR_ARGUMENT"


def test_false_wipes_even_broken_settings(alpha: Portal) -> None:
    alpha.people["boris"].broken = True
    token = alpha.open_as("boris").access_token

    assert alpha.ask(METHOD, token, settings=False)["result"] is True

    # The hours are an option of their own, and the zone is computed at each reading.
    hours = {"work_time_start": "9.00", "work_time_end": "19.00"}
    result = alpha.ask("calendar.user.settings.get", token)["result"]
    assert result == fresh_settings("Europe/Berlin") | hours | {"timezoneOffsetUTC": result["timezoneOffsetUTC"]}


@pytest.mark.parametrize("text", ["false", "0", "", "null"])
def test_text_in_a_form_does_nothing(alpha: Portal, text: str) -> None:
    before = alpha.people["anna"].settings

    assert form(alpha, "anna", settings=text)["result"] is True
    assert alpha.people["anna"].settings == before


def test_a_form_turns_everything_into_text(alpha: Portal) -> None:
    reminder = "settings[defaultReminders][withTime][0]"
    fields = {f"{reminder}[type]": "min", f"{reminder}[count]": "5", "settings[syncPeriodPast]": "6"}

    assert form(alpha, "julia", **fields)["result"] is True

    settings = alpha.people["julia"].settings
    assert settings["defaultReminders"] == {"withTime": [{"type": "min", "count": "5"}]}
    assert settings["syncPeriodPast"] == "6"


@pytest.mark.parametrize("nothing", [{}, []])
def test_nothing_to_change_stores_what_a_reading_returns(alpha: Portal, nothing: Any) -> None:
    before = alpha.people["mere"].settings

    assert alpha.ask(METHOD, alpha.open_as("mere").access_token, settings=nothing)["result"] is True
    assert alpha.people["mere"].settings == before


@pytest.mark.parametrize("null", [{}, {"settings": None}])
def test_missing_settings_are_an_error_without_a_code(alpha: Portal, null: dict[str, Any]) -> None:
    answer = alpha.ask(METHOD, alpha.open_as("anna").access_token, **null)

    assert answer["error"] == ""
    assert "settings" in answer["error_description"]


def test_people_write_their_own_alone_and_people_from_outside_too(bitrix24: Emulator, alpha: Portal) -> None:
    others = {key: person.settings for key, person in alpha.people.items() if key != "otto"}

    assert settings_of(bitrix24, alpha, "otto").set({"view": "day"}).result is True

    assert alpha.people["otto"].settings["view"] == "day"
    assert others == {key: person.settings for key, person in alpha.people.items() if key != "otto"}


def test_an_open_calendar_saves_all_settings_as_it_knew_them(bitrix24: Emulator, alpha: Portal) -> None:
    settings, tab = settings_of(bitrix24, alpha, "anna"), alpha.calendar_tab("anna")
    before = settings.get().result
    settings.set({"view": "day", "showWeekNumbers": "Y"}).call()

    tab.save(showTasks="N")

    after = settings.get().result
    assert (after["view"], after["showWeekNumbers"]) == (before["view"], before["showWeekNumbers"])
    # The slider turns off what depends on tasks, and a form turns numbers and false into text.
    assert (after["showTasks"], after["showCompletedTasks"]) == ("N", "N")
    assert (after["syncPeriodPast"], after["crmSection"]) == ("3", "false")
    assert after["defaultReminders"]["withTime"][0] == {"type": "min", "count": "15"}
    assert (after["showDeclined"], after["denyBusyInvitation"]) == (True, False)
    assert {key: after[key] for key in after if key not in SETTABLE} == {
        key: before[key] for key in before if key not in SETTABLE
    }


def test_a_calendar_loaded_anew_knows_the_change(bitrix24: Emulator, alpha: Portal) -> None:
    tab = alpha.calendar_tab("anna")
    settings_of(bitrix24, alpha, "anna").set({"view": "day"}).call()

    tab.reload()
    tab.save()

    assert alpha.people["anna"].settings["view"] == "day"


def test_an_event_changes_one_half_of_the_reminders(alpha: Portal) -> None:
    tab = alpha.calendar_tab("julia")

    tab.create_event([{"type": "day", "count": 2}], all_day=True)
    tab.use_grid("collapseOffHours", "N")

    settings = alpha.people["julia"].settings
    assert settings["defaultReminders"] == {
        "fullDay": [{"type": "day", "count": 2}],
        "withTime": {"type": "min", "count": 15},
    }
    assert settings["collapseOffHours"] == "N"
