"""The emulator is as strict as Bitrix24 at its worst."""

import json
from collections.abc import Iterator

import pytest
import requests

from tests import clock
from tests.emulator import CannotOpen, Emulator, Fault, Portal, rehearse
from tests.emulator.php import encode, parse_form
from tests.emulator_fixtures import StandIn, bitrix24, stand_in
from tests.waiting import HANG_SECONDS

__all__ = ["bitrix24", "stand_in"]

HANDLER = "http://127.0.0.1/"


@pytest.fixture
def alpha(bitrix24: Emulator) -> Iterator[Portal]:
    portal = bitrix24.portal("alpha")
    portal.install()
    yield portal


def refresh(bitrix24: Emulator, token: str) -> requests.Response:
    form = {
        "grant_type": "refresh_token",
        "client_id": bitrix24.client_id,
        "client_secret": bitrix24.client_secret,
        "refresh_token": token,
    }
    return requests.post(f"{bitrix24.authorization_server}/oauth/token/", data=form, timeout=HANG_SECONDS)


def bind(portal: Portal, event: str, handler: str) -> None:
    token = portal.mint(portal.people["anna"]).access
    assert portal.ask("event.bind", token, event=event, handler=handler)["result"] is True


def test_a_refresh_token_works_once(bitrix24: Emulator, alpha: Portal) -> None:
    opening = alpha.open_as("boris")

    first, second = refresh(bitrix24, opening.refresh_token), refresh(bitrix24, opening.refresh_token)

    assert first.json()["scope"] == "app"
    assert first.json()["domain"] in bitrix24.authorization_server
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    assert bitrix24.refreshes() == 1


def test_a_refresh_kills_the_access_token_beside_it(bitrix24: Emulator, alpha: Portal) -> None:
    opening, other = alpha.open_as("boris"), alpha.open_as("boris")

    fresh = refresh(bitrix24, opening.refresh_token).json()["access_token"]

    assert alpha.ask("profile", opening.access_token)["error"] == "invalid_token"
    # The chain of another opening is not concerned.
    assert alpha.ask("profile", other.access_token)["result"]["ID"] == "7"
    assert alpha.ask("profile", fresh)["result"]["ID"] == "7"


def test_a_lost_answer_has_rotated_the_token(bitrix24: Emulator, alpha: Portal) -> None:
    opening = alpha.open_as("boris")
    bitrix24.faults.lose_answer("oauth/token")

    with pytest.raises(requests.ConnectionError):
        refresh(bitrix24, opening.refresh_token)

    assert bitrix24.refreshes("boris") == 1
    assert refresh(bitrix24, opening.refresh_token).json()["error"] == "invalid_grant"


def test_the_secret_in_an_address_is_noticed(bitrix24: Emulator, alpha: Portal) -> None:
    refresh(bitrix24, alpha.open_as("boris").refresh_token)
    assert bitrix24.secrets_in_urls == 0

    sent = {"grant_type": "refresh_token", "client_secret": bitrix24.client_secret}
    requests.get(f"{bitrix24.authorization_server}/oauth/token/", params=sent, timeout=HANG_SECONDS)

    assert bitrix24.secrets_in_urls == 1
    assert bitrix24.client_secret not in str(bitrix24.requests)


def test_the_bucket_is_fifty_deep_and_leaks_two_a_second(bitrix24: Emulator, alpha: Portal) -> None:
    token = alpha.open_as("boris").access_token
    with clock.frozen():
        answers = [alpha.ask("profile", token) for _ in range(60)]

    refused = [answer for answer in answers if answer.get("error") == "QUERY_LIMIT_EXCEEDED"]
    assert len(refused) == 10

    bitrix24.clock.advance(1)
    assert "result" in alpha.ask("profile", token)


def test_an_hour_makes_tokens_old(bitrix24: Emulator, alpha: Portal) -> None:
    token = alpha.open_as("boris").access_token

    bitrix24.clock.advance(3601)

    assert alpha.ask("profile", token)["error"] == "expired_token"


def test_a_renamed_portal_points_to_its_new_address(bitrix24: Emulator, alpha: Portal) -> None:
    opening, old = alpha.open_as("boris"), alpha.origin
    body = {"auth": opening.access_token}

    new = alpha.rename()

    answer = requests.post(f"{old}/rest/profile", json=body, allow_redirects=False, timeout=HANG_SECONDS)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{new}/rest/profile")
    assert alpha.ask("profile", opening.access_token)["result"]["ID"] == "7"
    assert bitrix24.requests[-1].followed


def test_asking_the_authorization_server_makes_the_new_address_proven(bitrix24: Emulator, alpha: Portal) -> None:
    token, old = alpha.open_as("boris").access_token, alpha.origin
    alpha.rename()
    requests.post(f"{old}/rest/profile", json={"auth": token}, allow_redirects=False, timeout=HANG_SECONDS)

    url = f"{bitrix24.authorization_server}/rest/app.info"
    info = requests.post(url, data={"auth": token}, timeout=HANG_SECONDS).json()
    alpha.ask("profile", token)

    assert info["result"]["install"]["client_endpoint"] == alpha.client_endpoint
    assert not bitrix24.requests[-1].followed


def test_events_wait_for_the_end_of_the_installation(bitrix24: Emulator, stand_in: StandIn) -> None:
    alpha = bitrix24.portal("alpha")
    token = alpha.open_installer_as("anna").access_token
    handler = f"{stand_in.url}/events"
    alpha.ask("event.bind", token, event="ONAPPINSTALL", handler=handler)
    assert alpha.deliver_events() == []

    alpha.finish_install()
    (delivery,) = alpha.deliver_events()

    assert tuple(delivery)[:2] == ("ONAPPINSTALL", 200)
    (event,) = stand_in.events()
    assert event["event"] == "ONAPPINSTALL"
    assert event["auth[application_token]"] == alpha.application_token
    assert event["data[VERSION]"] == "1"
    assert "auth[refresh_token]" in event


def test_a_failed_event_is_not_sent_again(alpha: Portal, stand_in: StandIn) -> None:
    bind(alpha, "ONAPPUPDATE", f"{stand_in.url}/events")
    stand_in.status = 500
    alpha.update()

    assert [delivery.status for delivery in alpha.deliver_events()] == [500]
    assert alpha.deliver_events() == []


def test_the_last_event_has_no_tokens(bitrix24: Emulator, alpha: Portal, stand_in: StandIn) -> None:
    bind(alpha, "ONAPPUNINSTALL", f"{stand_in.url}/events")
    opening = alpha.open_as("boris")

    alpha.uninstall(clean=False)
    alpha.deliver_events()

    (event,) = stand_in.events()
    assert event["data[CLEAN]"] == "0"
    assert "auth[access_token]" not in event
    assert alpha.ask("profile", opening.access_token)["error"] == "APPLICATION_NOT_FOUND"
    assert refresh(bitrix24, opening.refresh_token).json()["error"] == "NOT_INSTALLED"


def test_a_reinstall_has_another_application_token(alpha: Portal) -> None:
    member_id, before = alpha.member_id, alpha.application_token
    token = alpha.open_as("boris").access_token
    alpha.uninstall()

    alpha.install()

    assert alpha.member_id == member_id
    assert alpha.application_token != before
    assert alpha.ask("profile", token)["error"] == "invalid_token"


def test_events_can_be_forged(alpha: Portal, stand_in: StandIn) -> None:
    status, _ = alpha.send_event("ONAPPUNINSTALL", application_token=None, ts="1", member_id="nobody")

    (event,) = stand_in.events()
    assert status == 200
    assert "auth[application_token]" not in event
    assert (event["ts"], event["auth[member_id]"]) == ("1", "nobody")


def test_nothing_authenticates_the_payment_event(alpha: Portal, stand_in: StandIn) -> None:
    bind(alpha, "ONAPPPAYMENT", f"{stand_in.url}/events")
    token = alpha.open_as("boris").access_token

    alpha.end_trial()
    alpha.deliver_events()

    assert "auth[application_token]" not in stand_in.events()[0]
    assert alpha.ask("profile", token)["error"] == "PAYMENT_REQUIRED"


def test_the_old_form_lacks_three_fields(alpha: Portal) -> None:
    new, old = alpha.open_as("boris"), alpha.open_as("boris", form="old")

    missing = {"SERVER_ENDPOINT", "APPLICATION_TOKEN", "APPLICATION_SCOPE"}
    assert set(new.form) - set(old.form) == missing
    assert list(new.form)[-1] == "PLACEMENT"
    assert len(new.access_token) == 70


def test_a_rehearsal_installs_and_brings_nearly_everybody(bitrix24: Emulator, stand_in: StandIn) -> None:
    alpha = bitrix24.portal("alpha")

    rehearse(alpha)

    paths = [path for path, fields in stand_in.posted if fields]
    active = [person for person in alpha.people.values() if person.active]
    assert paths == ["/install", *["/"] * (len(active) - 2)]
    assert alpha.installed


def test_nobody_opens_what_is_not_installed(bitrix24: Emulator) -> None:
    with pytest.raises(CannotOpen):
        bitrix24.portal("alpha").open_as("anna")


@pytest.mark.parametrize(
    ("happening", "error"),
    [("dismiss", "authorization_error"), ("restrict", "user_access_error")],
)
def test_people_lose_their_access(alpha: Portal, happening: str, error: str) -> None:
    token = alpha.open_as("boris").access_token

    getattr(alpha, happening)("boris")

    assert alpha.ask("profile", token)["error"] == error


def test_placements_are_for_administrators_and_reachable_handlers(alpha: Portal) -> None:
    anna, boris = alpha.open_as("anna").access_token, alpha.open_as("boris").access_token

    def bound(token: str, handler: str) -> object:
        answer = alpha.ask("placement.bind", token, placement="CALENDAR_GRIDVIEW", handler=handler)
        return answer.get("error", answer.get("result"))

    assert bound(boris, "http://127.0.0.1/") == "ACCESS_DENIED"
    assert bound(anna, "http://localhost/") == "ERROR_WRONG_HANDLER_URL"
    assert bound(anna, "http://127.0.0.1/") is True
    assert bound(anna, "http://127.0.0.1/") == "ERROR_CORE"


def test_another_portals_token_is_unknown_here(bitrix24: Emulator, alpha: Portal) -> None:
    beta = bitrix24.portal("beta")
    beta.install()

    assert alpha.ask("profile", beta.open_as("clara").access_token)["error"] == "invalid_token"


@pytest.mark.parametrize(
    "kind", ["reset", "truncated", "html:503", "status:500", "body:nonsense", "redirect:http://127.0.0.1:9/"]
)
def test_faults_happen_once(bitrix24: Emulator, alpha: Portal, kind: str) -> None:
    token = alpha.open_as("boris").access_token
    bitrix24.faults.add(Fault(kind, method="profile"))

    with pytest.raises(requests.RequestException):
        alpha.ask("profile", token)

    assert "result" in alpha.ask("profile", token)


def test_a_silent_server_lets_the_client_time_out(bitrix24: Emulator, alpha: Portal) -> None:
    token = alpha.open_as("boris").access_token
    bitrix24.faults.add(Fault("hang", method="profile"))

    with pytest.raises(requests.Timeout):
        requests.post(f"{alpha.origin}/rest/profile", json={"auth": token}, timeout=0.2)


def test_json_is_escaped_as_php_escapes_it() -> None:
    assert encode({"name": "<b>Ы\"/'&"}) == r'{"name":"\u003Cb\u003EЫ\u0022\/\u0027\u0026"}'


def test_forms_nest_as_php_nests_them() -> None:
    fields = parse_form("filter[ACTIVE]=1&cmd[]=a&cmd[]=b&x[y][z]=%26")

    assert fields == {"filter": {"ACTIVE": "1"}, "cmd": {"0": "a", "1": "b"}, "x": {"y": {"z": "&"}}}


def test_names_stand_in_the_persons_language(alpha: Portal) -> None:
    token = alpha.mint(alpha.people["anna"]).access
    titles = {"TITLE": "Settings", "LANG_ALL": {"ru": {"TITLE": "Настройки"}}}
    handler = "http://127.0.0.1/"
    bound = alpha.ask("placement.bind", token, PLACEMENT="CALENDAR_GRIDVIEW", HANDLER=handler, **titles)
    assert bound["result"] is True

    def page_of(person: str, placement: str = "DEFAULT") -> str:
        query = {"person": person, "placement": placement}
        return requests.get(f"{alpha.origin}/", params=query, timeout=HANG_SECONDS).text

    assert '<h1 id="title">Настройки календаря</h1>' in page_of("anna")
    assert '<h1 id="title">Team Hours</h1>' in page_of("kenji")
    assert '<h1 id="title">Настройки</h1>' in page_of("anna", "CALENDAR_GRIDVIEW")
    assert '<h1 id="title">Settings</h1>' in page_of("boris", "CALENDAR_GRIDVIEW")


def test_cards_of_colleagues_are_offered_per_portal(bitrix24: Emulator, alpha: Portal) -> None:
    beta = bitrix24.portal("beta")
    beta.install()
    cards = {"IM_SIDEBAR", "USER_PROFILE_TOOLBAR"}

    def listed(portal: Portal, person: str) -> set[str]:
        return set(portal.ask("placement.list", portal.open_as(person).access_token)["result"])

    assert cards <= listed(alpha, "boris")
    assert not cards & listed(beta, "clara")
    alpha.application.scopes = ["placement"]
    assert listed(alpha, "boris") & cards == {"IM_SIDEBAR"}
    answer = beta.ask("placement.bind", beta.open_as("clara").access_token, placement="IM_SIDEBAR", handler=HANDLER)
    assert answer["error"] == "ERROR_PLACEMENT_NOT_FOUND"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"iconName": "fa-clock-o", "context": "USER", "extranet": "N", "role": "USER"}, None),
        ({"iconName": "fa-clock-o"}, None),
        ({"iconName": "fa-clock-o", "context": "USER;CHAT"}, None),
        ({"context": "USER"}, "ERROR_ARGUMENT"),
        ({"iconName": "fa-clock-o", "context": "EVERYBODY"}, "INVALID_ERROR_CONTEXT"),
        ({"iconName": "fa-clock-o", "extranet": "maybe"}, "INVALID_ERROR_EXTRANET"),
        ({"iconName": "fa-clock-o", "role": "GUEST"}, "INVALID_ERROR_ROLE"),
    ],
)
def test_the_chat_sidebar_checks_its_options(alpha: Portal, options: dict[str, str], error: str | None) -> None:
    token = alpha.open_as("anna").access_token

    answer = alpha.ask("placement.bind", token, placement="IM_SIDEBAR", handler=HANDLER, options=options)

    assert answer.get("error") == error


@pytest.mark.parametrize(
    ("placement", "options", "surroundings"),
    [
        ("USER_PROFILE_TOOLBAR", {"USER_ID": "8", "URI": "/company/personal/user/8/"}, 'class="message employee"'),
        ("IM_SIDEBAR", {"dialogId": "8", "URI": "/online/"}, 'aria-label="Chat sidebar"'),
    ],
)
def test_the_page_opens_the_card_of_a_colleague(
    alpha: Portal, placement: str, options: dict[str, str], surroundings: str
) -> None:
    token = alpha.open_as("anna").access_token
    bound = {"placement": placement, "handler": HANDLER, "options": {"iconName": "fa-clock-o"}}
    assert alpha.ask("placement.bind", token, **bound)["result"] is True

    page = requests.get(alpha.page_url("boris", placement=placement, colleague="olena"), timeout=HANG_SECONDS).text

    opening = json.loads(page.partition('id="state">')[2].partition("</script>")[0])["opening"]
    assert json.loads(dict(opening["fields"])["PLACEMENT_OPTIONS"]) == options
    assert surroundings in page
    assert "Олена Коваленко" in page
