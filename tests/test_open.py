"""Open the application: who gets in, how many requests it takes, and what is stored."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from dashboard.people import accounts
from dashboard.people.accounts import NEW_PEOPLE_LIMIT
from dashboard.portals.throttle import Limit
from tests.emulator.faults import Fault
from tests.waiting import wait_until
from tests.world import World, errors_on, session_token, settings_on


def test_the_page_shows_the_settings(each_world: World) -> None:
    response = each_world.open("boris")

    assert response.status_code == 200
    assert settings_on(response.text) == each_world.portal().people["boris"].settings


def test_a_known_portal_gets_one_request(world: World) -> None:
    opening = world.portal().open_as("boris")
    world.bitrix24.clear()

    world.post("/", opening)

    (request,) = world.bitrix24.requests
    assert request.method == "batch"


def test_a_form_without_newer_fields_opens(world: World) -> None:
    response = world.post("/", world.portal().open_as("boris", form="old"))

    assert response.status_code == 200


def test_an_unknown_portal_is_verified_first(world: World) -> None:
    world.portal("beta").install()
    world.bitrix24.clear()

    response = world.open("clara", "beta")

    assert response.status_code == 200
    assert [request.method for request in world.bitrix24.requests] == ["rest/app.info", "batch"]
    assert world.one("SELECT count(*) FROM portals") == 2


def test_two_openings_store_one_person_with_the_newest_token_pair(each_world: World) -> None:
    each_world.open("boris")
    before = each_world.one("SELECT access_token FROM chains JOIN people ON id = person_id WHERE user_id = 7")

    each_world.open("boris")

    after = each_world.one("SELECT access_token FROM chains JOIN people ON id = person_id WHERE user_id = 7")
    assert before != after
    assert each_world.one("SELECT count(*) FROM people WHERE user_id = 7") == 1


def test_an_opening_without_a_refresh_token_keeps_the_stored_one(world: World) -> None:
    session = world.session("boris")

    assert world.open("boris", REFRESH_ID="").status_code == 200

    world.portal().expire("boris")
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


@pytest.mark.parametrize("field", ["AUTH_ID", "member_id"])
def test_a_missing_field_is_named(world: World, field: str) -> None:
    opening = world.portal().open_as("boris")
    del opening.form[field]

    response = world.post("/", opening)

    assert response.status_code == 400
    assert field in response.text
    assert errors_on(response.text) == ["invalid_request"]


@pytest.mark.parametrize("domain", ["evil.example", "localhost:1", "evil.example:8080"])
def test_a_forged_domain_changes_nothing(world: World, domain: str) -> None:
    opening = world.portal().open_as("boris")
    opening.query["DOMAIN"] = domain

    response = world.post("/", opening)

    assert response.status_code == 200
    assert world.one("SELECT origin FROM portals") == world.portal().origin
    assert f"frame-ancestors {world.portal().origin}" in response.headers["Content-Security-Policy"]


def test_a_forged_authorization_server_is_never_asked(world: World) -> None:
    world.portal("beta").install()
    opening = world.portal("beta").open_as("clara")

    response = world.post("/", opening, SERVER_ENDPOINT="http://127.0.0.1:1/rest/")

    assert response.status_code == 200
    assert world.rows("SELECT authorization_server FROM portals")[-1]["authorization_server"] == (
        world.bitrix24.authorization_server
    )


def test_an_expired_posted_token_is_refused_without_a_refresh(world: World) -> None:
    opening = world.portal().open_as("boris")
    world.portal().expire("boris")

    response = world.post("/", opening)

    assert response.status_code == 403
    assert errors_on(response.text) == ["expired_token"]
    assert world.bitrix24.refreshes() == 0


def test_a_moved_portal_is_found_through_the_authorization_server(each_world: World) -> None:
    new_origin = each_world.portal().rename()

    response = each_world.open("boris")

    assert response.status_code == 200
    assert each_world.one("SELECT origin FROM portals") == new_origin
    assert f"frame-ancestors {new_origin}" in response.headers["Content-Security-Policy"]


def test_the_page_opens_with_corrupted_settings(world: World) -> None:
    response = world.open("petra")

    assert response.status_code == 200
    assert errors_on(response.text) == ["ERROR_ARGUMENT"]
    assert settings_on(response.text) == {}
    assert session_token(response)


def test_the_page_opens_without_a_scope(world: World) -> None:
    world.portal().drop_scope("calendar")

    response = world.open("boris")

    assert response.status_code == 200
    assert errors_on(response.text) == ["insufficient_scope"]


def test_the_stored_settings_are_shown_if_they_cannot_be_read(world: World) -> None:
    world.open("boris")
    world.bitrix24.faults.add(Fault(kind="error:ERROR_CORE:400", inner="calendar.user.settings.get"))

    response = world.open("boris")

    assert errors_on(response.text) == ["ERROR_CORE"]
    assert settings_on(response.text) == world.portal().people["boris"].settings


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("html:503", 502, "http_503"),
        ("html:403", 502, "bad_answer"),
        ("status:500", 502, "http_500"),
        ("truncated", 502, "unreachable"),
        ("reset", 502, "unreachable"),
        ("body:[]", 502, "bad_answer"),
        ('body:{"result":"odd"}', 502, "bad_answer"),
        ("error:QUERY_LIMIT_EXCEEDED:503", 503, "QUERY_LIMIT_EXCEEDED"),
        ("error:OPERATION_TIME_LIMIT:429", 503, "OPERATION_TIME_LIMIT"),
        ("error:OVERLOAD_LIMIT:401", 503, "OVERLOAD_LIMIT"),
        ("error:PAYMENT_REQUIRED:401", 403, "PAYMENT_REQUIRED"),
        ("error:PORTAL_DELETED:403", 503, "PORTAL_DELETED"),
        ("error:user_access_error:401", 403, "user_access_error"),
        ("error:authorization_error:401", 403, "authorization_error"),
        ("error:ACCESS_DENIED:401", 403, "ACCESS_DENIED"),
        ("error:APPLICATION_NOT_FOUND:401", 403, "APPLICATION_NOT_FOUND"),
        ("error:INTERNAL_SERVER_ERROR:500", 502, "INTERNAL_SERVER_ERROR"),
    ],
)
def test_an_error_of_the_portal_has_its_own_page(world: World, kind: str, status: int, code: str) -> None:
    # Again and again: a read over a kept connection that is reset is sent once more.
    world.bitrix24.faults.add(Fault(kind=kind, method="batch", times=None))

    response = world.open("boris")

    assert response.status_code == status
    assert errors_on(response.text) == [code]
    assert ("Retry-After" in response.headers) == (status == 503)
    assert f"frame-ancestors {world.portal().origin}" in response.headers["Content-Security-Policy"]


def test_names_are_escaped(world: World) -> None:
    world.open("sanjay")

    html = world.browser.get("/team", headers=world.session("anna")).text

    assert "<b> Thapa" not in html
    assert "&lt;b&gt; Thapa" in html


def test_a_long_name_is_stored(each_world: World) -> None:
    boris = each_world.portal().people["boris"]
    boris.name = boris.last_name = "Б" * 300

    assert each_world.open("boris").status_code == 200


def test_a_slow_opening_does_not_restore_an_old_address(world: World) -> None:
    fault = world.bitrix24.faults.add(Fault(kind="hold", method="batch", person="anna"))
    opening = world.portal().open_as("anna")
    world.bitrix24.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(world.app.test_client().post, "/", query_string=opening.query, data=opening.form)
        wait_until(lambda: world.bitrix24.count(method="batch", person="anna") == 1)
        new_origin = world.portal().rename()
        world.open("boris")
        fault.released.set()

        slow.result()

    assert world.one("SELECT origin FROM portals") == new_origin


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ({}, "command_not_answered"),
        *(({"settings": value}, "settings_not_a_map") for value in (["month"], "month", None)),
    ],
)
def test_a_response_without_readable_settings_keeps_the_stored_ones(
    world: World, results: dict[str, Any], code: str
) -> None:
    def without_settings(body: dict[str, Any]) -> dict[str, Any]:
        del body["result"]["result"]["settings"]
        body["result"]["result"] |= results
        return body

    world.open("boris")
    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=without_settings))

    response = world.open("boris")

    assert errors_on(response.text) == [code]
    assert settings_on(response.text) == world.portal().people["boris"].settings


def test_calendars_in_a_list_with_gaps_are_parsed(world: World) -> None:
    def with_gaps(body: dict[str, Any]) -> dict[str, Any]:
        sections = body["result"]["result"]["sections"]
        body["result"]["result"]["sections"] = {"0": {**sections[0], "SYNC_TOKEN": "secret-of-a-sync"}}
        return body

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=with_gaps))
    world.open("boris")

    assert "secret-of-a-sync" not in str(world.rows("SELECT sections FROM snapshots"))
    assert "COLOR" in str(world.rows("SELECT sections FROM snapshots"))


def test_a_portal_without_app_info_is_verified_at_every_opening(world: World) -> None:
    world.bitrix24.faults.add(Fault(kind="error:ERROR_METHOD_NOT_FOUND:404", inner="app.info", times=None))

    assert world.open("boris").status_code == 200
    world.bitrix24.clear()
    assert world.open("boris").status_code == 200
    assert world.bitrix24.count(where="authorization") == 1


@pytest.mark.parametrize("code", ["NO_AUTH_FOUND", "INVALID_CREDENTIALS"])
def test_a_rejected_token_counts_as_a_failed_verification(world: World, code: str) -> None:
    world.bitrix24.faults.add(Fault(kind=f"error:{code}:401", method="batch"))

    assert world.open("boris").status_code == 403


def test_a_verification_dated_in_the_future_is_repeated(world: World) -> None:
    world.bitrix24.clock.advance(-3 * 3600)
    world.portal().bucket = None

    world.open("anna")

    portal = world.known()
    assert portal.proven_at <= world.now()
    assert portal.bindings_at is not None
    assert portal.bindings_at <= world.now()


@pytest.mark.parametrize(
    ("origin", "code", "says", "does"),
    [
        ("https://127.0.0.1:1", "connection_refused", "accept connections from this app", "firewall"),
        ("https://169.254.169.254", "address_not_allowed", "private address", "public address"),
        ("https://a..invalid", "unknown_host", "was not found on the internet", "DNS records"),
    ],
)
def test_the_page_says_why_the_portal_is_unreachable_and_who_must_act(
    world: World, origin: str, code: str, says: str, does: str
) -> None:
    session = world.session("boris")
    world.bitrix24.faults.add(Fault("reset", where="authorization", times=None))
    with world.database.write_session() as store:
        store.execute(text("UPDATE portals SET origin = :origin"), {"origin": origin})

    answer = world.browser.post("/me/refresh", headers=session)

    assert (answer.status_code, errors_on(answer.text)) == (502, [code])
    assert says in answer.text
    assert does in answer.text

    # Nobody is there, so the portal may have another address; the authorization server tells it.
    world.bitrix24.faults.clear()
    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.known().origin == world.portal().origin


def test_the_operator_must_act_if_the_authorization_server_is_unreachable(world: World) -> None:
    opening = world.portal("beta")
    opening.install()
    posted = opening.open_as("clara")
    world.bitrix24.stop()

    answer = world.post("/", posted)

    assert errors_on(answer.text) == ["connection_refused"]
    assert "authorization server" in answer.text
    assert "operator" in answer.text


def test_new_people_of_a_portal_are_limited(world: World) -> None:
    """A self-hosted portal may return any user, and its user list is not read yet."""
    numbers = iter(range(1000, 2000))

    def invent(answer: dict[str, Any]) -> dict[str, Any]:
        answer["result"]["result"]["profile"] |= {"ID": str(next(numbers))}
        return answer

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=invent, times=None))
    assert world.open("boris").status_code == 200
    for _ in range(NEW_PEOPLE_LIMIT.depth):
        world.services.throttle.record_failure(f"new people {world.portal().member_id}", NEW_PEOPLE_LIMIT)
    before = world.rows("SELECT count(*) FROM people")

    answer = world.open("boris")

    assert (answer.status_code, errors_on(answer.text)) == (503, ["too_many_new_people"])
    assert int(answer.headers["Retry-After"]) >= 1
    assert world.rows("SELECT count(*) FROM people") == before
    world.bitrix24.faults.clear()
    assert world.open("anna").status_code == 200  # whom we know already
    assert world.open("boris").status_code == 503
    world.bitrix24.clock.advance(NEW_PEOPLE_LIMIT.seconds)
    assert world.open("boris").status_code == 200


def test_first_openings_of_a_portal_are_limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of listed people too: a self-hosted portal may list any number of them."""
    world.sync()
    monkeypatch.setattr(accounts, "FIRST_OPENING_LIMIT", Limit(depth=1, seconds=1800))  # Anna has used it up

    answer = world.open("boris")

    assert (answer.status_code, errors_on(answer.text)) == (503, ["too_many_new_people"])
    assert int(answer.headers["Retry-After"]) > 1
    assert world.one("SELECT count(*) FROM snapshots") == 1
    assert world.open("anna").status_code == 200  # who has a token already
    world.bitrix24.clock.advance(1800)
    assert world.open("boris").status_code == 200


def test_a_wrong_clock_does_not_prolong_the_previous_application_token(world: World) -> None:
    old = SecretStr(world.portal().application_token)
    world.portal().update(new_application_token=True)
    world.open("anna")
    assert world.services.installations.matches_application_token(world.known(), old)

    world.bitrix24.clock.advance(-3 * 3600)

    assert not world.services.installations.matches_application_token(world.known(), old)
