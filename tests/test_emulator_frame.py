"""The official b24jssdk works inside a frame of the emulator's portal page."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Frame, Page

from tests import programs
from tests.browsers import page
from tests.emulator import Emulator, Portal
from tests.emulator_fixtures import SDK, StandIn, bitrix24, stand_in

__all__ = ["bitrix24", "page", "stand_in"]


@pytest.fixture(autouse=True)
def library() -> None:
    """Fail at once where npm could not bring the library."""
    programs.package(SDK)


def frame_of(page: Page, *, state: str = "application") -> Frame:
    page.frame_locator("#place iframe").get_by_text(state, exact=True).wait_for()
    handle = page.locator("#place iframe").element_handle()
    frame = handle.content_frame()
    assert frame is not None
    return frame


def open_as(page: Page, portal: Portal, key: str) -> Frame:
    portal.install()
    page.goto(portal.page_url(key))
    return frame_of(page)


def test_it_gives_the_frame_the_tokens_just_posted(bitrix24: Emulator, stand_in: StandIn, page: Page) -> None:
    frame = open_as(page, bitrix24.portal("alpha"), "boris")

    auth = frame.evaluate("b24.auth.getAuthData()")

    assert auth["access_token"] == stand_in.posted[-1][1]["AUTH_ID"]
    assert auth["member_id"] == bitrix24.portal("alpha").member_id


@pytest.mark.parametrize(("key", "admin"), [("anna", True), ("boris", False)])
def test_only_administrators_are_administrators(bitrix24: Emulator, page: Page, key: str, admin: bool) -> None:
    frame = open_as(page, bitrix24.portal("alpha"), key)

    assert frame.evaluate("b24.auth.isAdmin") is admin


def test_it_calls_the_rest_of_the_portal(bitrix24: Emulator, page: Page) -> None:
    frame = open_as(page, bitrix24.portal("alpha"), "boris")

    result = frame.evaluate("b24.actions.v2.call.make({method: 'profile'}).then(told => told.getData().result)")

    assert result["ID"] == "7"


def test_the_title_and_the_height_follow_the_application(bitrix24: Emulator, page: Page) -> None:
    frame = open_as(page, bitrix24.portal("alpha"), "boris")

    frame.evaluate("b24.parent.setTitle('Everybody <b>')")
    frame.evaluate("b24.parent.fitWindow()")

    assert page.inner_text("#title") == "Everybody <b>"
    assert page.locator("#place iframe").evaluate("frame => frame.offsetHeight") > 1234


def test_refreshing_mints_a_pair_of_its_own(bitrix24: Emulator, page: Page) -> None:
    alpha = bitrix24.portal("alpha")
    frame = open_as(page, alpha, "boris")
    before = frame.evaluate("b24.auth.getAuthData().access_token")

    after = frame.evaluate("b24.auth.refreshAuth().then(auth => auth.access_token)")

    assert after != before
    # The server's pair is not touched by what the browser does.
    assert alpha.ask("profile", before)["result"]["ID"] == "7"


def test_finishing_the_installation_opens_the_application(bitrix24: Emulator, stand_in: StandIn, page: Page) -> None:
    alpha = bitrix24.portal("alpha")
    page.goto(alpha.page_url("anna"))
    page.press("[data-control=install-market]", "Enter")
    frame = frame_of(page, state="installer")

    frame.evaluate("void b24.installFinish()")
    frame_of(page, state="application")

    assert alpha.installed
    assert [path for path, _ in stand_in.posted] == ["/install", "/"]


def test_others_wait_until_the_installation_is_finished(bitrix24: Emulator, page: Page) -> None:
    alpha = bitrix24.portal("alpha")
    alpha.open_installer_as("anna")

    page.goto(alpha.page_url("boris"))

    assert "not fully installed" in page.inner_text("main")
    assert page.locator("#place iframe").count() == 0


def test_options_are_kept_by_the_portal(bitrix24: Emulator, page: Page) -> None:
    alpha = bitrix24.portal("alpha")
    frame = open_as(page, alpha, "anna")

    frame.evaluate("b24.options.appSet('who', 'everyone')")
    frame.evaluate("b24.options.userSet('tab', 'team')")

    # The frame is answered before the portal has stored it; a reload must not overtake that.
    stored = alpha.people["anna"].options
    while "tab" not in stored or "who" not in alpha.application.options:
        page.wait_for_timeout(20)
    page.reload()
    assert frame_of(page).evaluate("[b24.options.appGet('who'), b24.options.userGet('tab')]") == [
        "everyone",
        "team",
    ]


def test_a_message_with_another_sid_is_ignored(bitrix24: Emulator, page: Page) -> None:
    frame = open_as(page, bitrix24.portal("alpha"), "boris")

    frame.evaluate("parent.postMessage('setTitle:{\"title\":\"forged\"}:cb:' + '0'.repeat(32), '*')")

    page.wait_for_function("portalFrame.ignored.includes('sid')")
    assert page.inner_text("#title") != "forged"


def test_a_message_from_another_origin_is_ignored(bitrix24: Emulator, page: Page) -> None:
    alpha, beta = bitrix24.portal("alpha"), bitrix24.portal("beta")
    open_as(page, alpha, "boris")
    sid = page.evaluate("portalFrame.opening.sid")

    # The frame goes to a page of another origin that knows the sid.
    page.evaluate("url => { document.querySelector('#place iframe').src = url }", beta.origin)
    page.frame_locator("#place iframe").get_by_text("Clara Moreau").first.wait_for(state="attached")
    stranger = page.locator("#place iframe").element_handle().content_frame()
    assert stranger is not None
    stranger.evaluate('sid => parent.postMessage(`setTitle:{"title":"forged"}:cb:${sid}`, \'*\')', sid)

    page.wait_for_function("portalFrame.ignored.includes('origin')")
    assert page.inner_text("#title") != "forged"


def test_the_calendar_shows_the_bound_view_and_tells_when_it_is_turned(
    bitrix24: Emulator, stand_in: StandIn, page: Page
) -> None:
    alpha = bitrix24.portal("alpha")
    alpha.install()
    binding = {"placement": "CALENDAR_GRIDVIEW", "handler": f"{stand_in.url}/grid"}
    alpha.ask("placement.bind", alpha.open_as("anna").access_token, **binding)

    page.goto(alpha.page_url("boris", placement="CALENDAR_GRIDVIEW"))
    frame = frame_of(page)
    frame.evaluate("b24.placement.bindEvent('Calendar.customView:increaseViewRangeDate', () => { told = 1 })")
    page.wait_for_function("portalFrame.bound.size === 1")
    page.press("[data-control=later]", "Enter")

    frame.wait_for_function("window.told === 1")
    path, fields = stand_in.posted[-1]
    assert path == "/grid"
    assert "viewRangeFrom" in fields["PLACEMENT_OPTIONS"]


def test_unknown_commands_are_met_with_silence(bitrix24: Emulator, page: Page) -> None:
    frame = open_as(page, bitrix24.portal("alpha"), "boris")

    answer = frame.evaluate("b24.placement.call('noSuchCommand')")

    # The library gives up by itself and says so.
    assert answer == {"isSafely": True}


def test_our_own_library_speaks_the_same(bitrix24: Emulator, page: Page) -> None:
    frame = open_as(page, bitrix24.portal("alpha"), "boris")
    frame.add_script_tag(url=bitrix24.bx24_js_url)

    message = frame.evaluate(
        """() => new Promise(done => BX24.init(() => BX24.callMethod('profile', {}, result =>
            done([BX24.isAdmin(), BX24.getLang(), BX24.placement.info().placement, result.data().ID]))))"""
    )

    assert message == [False, "de", "DEFAULT", "7"]


def test_the_controls_leave_the_page_visible_and_show_their_state(
    bitrix24: Emulator, stand_in: StandIn, page: Page
) -> None:
    alpha = bitrix24.portal("alpha")
    alpha.install()
    page.goto(alpha.page_url("anna", controls=True))
    frame_of(page)
    panel, place = (page.locator(selector).bounding_box() for selector in ("#controls", "#place"))
    assert panel
    assert place
    assert place["x"] + place["width"] <= panel["x"]

    states: dict[str, Callable[[], bool]] = {
        "trial": lambda: alpha.application.trial_over,
        "departments": lambda: "department" in alpha.application.scopes,
        "slow": lambda: bitrix24.latency > 0,
        "broken": lambda: alpha.people["anna"].broken,
    }
    for switch, state in states.items():
        button = page.locator(f"[data-switch={switch}]")
        for on in (True, False):
            button.press("Enter")
            page.wait_for_function(
                "([name, on]) => document.querySelector(`[data-switch=${name}]`).ariaChecked === on",
                arg=[switch, str(on).lower()],
            )
            assert state() is on, switch


def test_a_person_can_read_another_language(bitrix24: Emulator, stand_in: StandIn, page: Page) -> None:
    alpha = bitrix24.portal("alpha")
    alpha.install()
    page.goto(alpha.page_url("anna", controls=True))
    frame_of(page)

    with page.expect_navigation():
        page.select_option("[data-control=language]", "ar")
    frame_of(page)

    assert (alpha.people["anna"].lang, page.input_value("[data-control=language]")) == ("ar", "ar")
    assert page.inner_text("#title") == "إعدادات التقويم"


def test_the_controls_work_and_nothing_scrolls_sideways(bitrix24: Emulator, page: Page) -> None:
    alpha = bitrix24.portal("alpha")
    alpha.install()
    page.goto(alpha.page_url("anna", controls=True))
    frame_of(page)
    token = alpha.open_as("anna").access_token

    page.press("[data-control=expire]", "Enter")
    page.get_by_text("has expired").wait_for()

    assert alpha.ask("profile", token)["error"] == "expired_token"
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
