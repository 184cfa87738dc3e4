"""Refresh of tokens: once, by one process, stored before it is used, and revoked only when it is invalid."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text, update

from app import create_app
from dashboard.bitrix24.host_limit import MAX_WAIT
from dashboard.bitrix24.transport import DEFAULT_TIMEOUTS
from dashboard.core.encryption import TokenEncryption, token_context
from dashboard.models import OAuthToken
from dashboard.tokens.refresh import (
    MAX_REFRESH_PAUSE,
    REFRESH_COOLDOWN,
    REFRESH_LIMIT,
    REJECTED_REFRESH_LIMIT,
)
from dashboard.tokens.store import LEASE_DURATION
from tests.emulator.faults import Fault
from tests.world import FERNET_KEY, World, errors_on, session_token, settings_on

BORIS = "SELECT {} FROM chains JOIN people ON people.id = person_id WHERE user_id = 7"


def token_column(world: World, column: str) -> object:
    return world.one(BORIS.format(column))


def set_columns(world: World, **values: object) -> None:
    columns = ", ".join(f"{name} = :{name}" for name in values)
    with world.database.write_session() as session:
        session.execute(
            text(f"UPDATE chains SET {columns} WHERE person_id IN (SELECT id FROM people WHERE user_id = 7)"),
            values,
        )


def test_an_expired_token_is_refreshed(each_world: World) -> None:
    session = each_world.session("boris")
    each_world.portal().expire("boris")

    response = each_world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 200
    assert settings_on(response.text) == each_world.portal().people["boris"].settings
    assert each_world.bitrix24.refreshes("boris") == 1
    assert each_world.bitrix24.secrets_in_urls == 0


def test_a_valid_token_is_not_refreshed(world: World) -> None:
    session = world.session("boris")

    world.browser.post("/me/refresh", headers=session)

    assert world.bitrix24.refreshes() == 0


def test_an_invalid_token_is_refreshed_too(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="error:INVALID_TOKEN:401", method="batch"))

    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.bitrix24.refreshes() == 1


def test_a_token_rejected_twice_is_an_error(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="error:expired_token:401", method="batch", times=None))
    world.bitrix24.clear()

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 403
    assert world.bitrix24.refreshes() == 1
    assert world.bitrix24.count(method="batch") == 2


def test_a_portal_that_rejects_every_token_causes_one_refresh(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="error:APPLICATION_NOT_FOUND:401", method="batch", times=None))

    for _ in range(4):
        assert world.browser.post("/me/refresh", headers=session).status_code == 403

    assert world.bitrix24.refreshes() == 1


def test_a_pause_of_refreshes_outlives_the_next_openings(world: World) -> None:
    """A portal opens the application and then rejects the token that it posted."""
    for _ in range(5):
        session = world.session("boris")
        refusal = Fault(kind="error:expired_token:401", method="batch", times=None)
        world.bitrix24.faults.add(refusal)
        assert world.browser.post("/me/refresh", headers=session).status_code == 403
        world.bitrix24.faults.clear()
    assert world.bitrix24.refreshes() == 1

    world.bitrix24.clock.advance(REFRESH_COOLDOWN.total_seconds() + 1)
    world.portal().expire("boris")
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


def test_a_pause_from_a_wrong_clock_is_ignored(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    set_columns(world, renewal_paused_until="2099-01-01 00:00:00")

    assert world.browser.post("/me/refresh", headers=session).status_code == 200


@pytest.mark.usefixtures("frozen_clock")
def test_rejected_refreshes_are_counted_per_portal(world: World) -> None:
    """A portal can name any number of people, and each gets an opening."""
    sessions = [world.session(person) for person in ("boris", "anna")]
    for _ in range(REJECTED_REFRESH_LIMIT.depth - 1):
        world.services.throttle.record_failure(
            f"rejected token refreshes {world.portal().member_id}", REJECTED_REFRESH_LIMIT
        )
    world.bitrix24.faults.add(Fault(kind="error:expired_token:401", method="batch", times=None))

    answers = [world.browser.post("/me/refresh", headers=session).status_code for session in sessions]

    assert answers == [403, 403]
    assert world.bitrix24.refreshes() == 1


@pytest.mark.usefixtures("frozen_clock")
def test_refreshes_of_a_portal_are_limited(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    for _ in range(REFRESH_LIMIT.depth):
        world.services.throttle.take(
            f"token refreshes {world.portal().member_id}", REFRESH_LIMIT._replace(seconds=3600), code="too_many"
        )

    refused = world.browser.post("/me/refresh", headers=session)

    assert (refused.status_code, errors_on(refused.text)) == (503, ["too_many_token_refreshes"])
    assert int(refused.headers["Retry-After"]) >= 1
    assert world.bitrix24.refreshes() == 0
    assert (token_column(world, "state"), token_column(world, "lease_owner")) == ("live", None)
    world.bitrix24.clock.advance(1)
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


def clicks(world: World, session: dict[str, str], *, applications: int) -> list[int]:
    """Return the statuses of concurrent refreshes, each in an application of its own."""
    clients = [create_app(world.config, database=world.database).test_client() for _ in range(applications)]
    with ThreadPoolExecutor(applications) as pool:
        answers = pool.map(lambda client: client.post("/me/refresh", headers=session), clients)
        return [answer.status_code for answer in answers]


def test_concurrent_requests_refresh_once(each_world: World) -> None:
    session = each_world.session("boris")
    each_world.portal().expire("boris")

    assert clicks(each_world, session, applications=6) == [200] * 6

    assert each_world.bitrix24.refreshes("boris") == 1
    assert each_world.bitrix24.count(method="oauth/token") == 1


def test_concurrent_clicks_in_one_process_fetch_once(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.clear()
    world.bitrix24.latency = 0.3

    with ThreadPoolExecutor(5) as pool:
        clicks = [pool.submit(world.app.test_client().post, "/me/refresh", headers=session) for _ in range(5)]
        answers = [click.result().status_code for click in clicks]

    assert answers == [200] * 5
    assert world.bitrix24.count(method="batch") == 1


def test_an_invalid_refresh_token_needs_a_new_opening(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    world.portal().kill_refresh("boris")

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 403
    assert errors_on(response.text) == ["reconnect"]
    assert settings_on(response.text) == world.portal().people["boris"].settings
    assert token_column(world, "state") == "reconnect"


def test_the_next_opening_reconnects(world: World) -> None:
    session = world.session("boris")
    set_columns(world, state="reconnect")

    world.open("boris")

    assert token_column(world, "state") == "live"
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


def test_a_revoked_token_is_not_refreshed_again(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    world.portal().kill_refresh("boris")
    world.browser.post("/me/refresh", headers=session)
    world.bitrix24.clear()

    world.browser.post("/me/refresh", headers=session)

    assert world.bitrix24.requests == []


def test_an_opening_during_a_failed_refresh_wins(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    world.portal().kill_refresh("boris")
    world.bitrix24.faults.add(Fault(kind="slow:0.5", where="authorization", method="oauth/token"))
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(lambda: world.app.test_client().post("/me/refresh", headers=session).status_code)
        while not world.bitrix24.count(method="oauth/token"):
            pass

        world.open("boris")

        assert refreshing.result() == 200
    assert token_column(world, "state") == "live"


def test_a_refresh_does_not_replace_a_later_opening(world: World) -> None:
    """The refreshed pair is valid too, but the opening's is newer."""
    session = world.session("boris")
    world.portal().expire("boris")
    world.bitrix24.faults.add(Fault(kind="slow:0.5", where="authorization", method="oauth/token"))
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(lambda: world.app.test_client().post("/me/refresh", headers=session).status_code)
        while not world.bitrix24.refreshes("boris"):
            pass
        opening = world.portal().open_as("boris")

        assert world.post("/", opening).status_code == 200

        assert refreshing.result() == 200
    owner = token_context(world.portal().member_id, 7, "refresh")
    stored = TokenEncryption([SecretStr(FERNET_KEY)]).decrypt(str(token_column(world, "refresh_token")), context=owner)
    assert stored.get_secret_value() == opening.refresh_token


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("html:500", 502),
        ("reset", 502),
        ("error:INTERNAL_SERVER_ERROR:500", 502),
        ("status:503", 502),
    ],
)
def test_a_failing_authorization_server_changes_nothing(world: World, kind: str, status: int) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    before = token_column(world, "refresh_token")
    world.bitrix24.faults.add(Fault(kind=kind, where="authorization", method="oauth/token"))

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == status
    assert settings_on(response.text)
    assert (token_column(world, "refresh_token"), token_column(world, "state")) == (before, "live")
    assert token_column(world, "lease_owner") is None
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


@pytest.mark.parametrize("kind", ["truncated", "lost"])
def test_a_lost_refresh_response_needs_a_new_opening(world: World, kind: str) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    world.bitrix24.faults.add(Fault(kind=kind, where="authorization", method="oauth/token"))

    assert world.browser.post("/me/refresh", headers=session).status_code == 502
    assert world.browser.post("/me/refresh", headers=session).status_code == 403
    world.open("boris")
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


def test_waiting_requests_share_a_failed_refresh(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    world.bitrix24.faults.add(Fault(kind="html:500", where="authorization", method="oauth/token", times=None))
    world.bitrix24.latency = 0.2

    assert clicks(world, session, applications=6) == [502] * 6

    assert world.bitrix24.count(method="oauth/token") <= 2


def test_the_lease_of_a_dead_process_expires(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    soon = datetime.now(UTC) + timedelta(seconds=1)
    set_columns(world, lease_owner="dead", lease_until=soon.replace(tzinfo=None).isoformat(" "))

    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert datetime.now(UTC) > soon
    assert world.bitrix24.refreshes() == 1


def test_an_unpaid_portal_is_suspended_and_reactivated(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    world.portal().end_trial()

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 403
    assert errors_on(response.text) == ["PAYMENT_REQUIRED"]
    assert world.one("SELECT state FROM portals") == "suspended"
    assert token_column(world, "refresh_token")

    world.portal().restore_trial()
    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.one("SELECT state FROM portals") == "active"


def test_a_refresh_detects_a_lost_uninstallation(world: World) -> None:
    session = world.session("boris")
    world.portal().uninstall()

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 403
    assert errors_on(response.text) == ["NOT_INSTALLED"]
    assert world.one("SELECT state FROM portals") == "uninstalled"
    assert world.one("SELECT count(*) FROM people") == 0


def test_a_token_of_an_earlier_installation_does_not_uninstall(world: World) -> None:
    session = world.session("boris")
    world.portal().uninstall()
    world.install()
    world.bitrix24.faults.add(Fault(kind="error:NOT_INSTALLED:401", where="authorization", method="oauth/token"))

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 403
    assert world.one("SELECT state FROM portals") == "active"
    assert world.one("SELECT count(*) FROM people") == 2
    assert token_column(world, "state") == "reconnect"


@pytest.mark.parametrize(
    ("ended", "code", "state"),
    [("uninstalled", "reconnect", "reconnect"), ("unpaid", "expired_token", "live")],
)
def test_a_refresh_token_of_another_portal_does_not_change_the_portal(
    world: World, ended: str, code: str, state: str
) -> None:
    """Boris posts one of his own portal, where the application was removed or is unpaid."""
    world.portal("beta").install()
    elsewhere = world.portal("beta").open_as("clara").refresh_token
    if ended == "uninstalled":
        world.portal("beta").uninstall()
    else:
        world.portal("beta").end_trial()
    session = {"Authorization": f"Bearer {session_token(world.open('boris', REFRESH_ID=elsewhere))}"}
    world.portal().expire("boris")

    response = world.browser.post("/me/refresh", headers=session)

    assert (response.status_code, errors_on(response.text)) == (403, [code])
    assert world.one("SELECT state FROM portals WHERE id = 1") == "active"
    assert world.one("SELECT count(*) FROM people WHERE portal_id = 1") == 2
    assert token_column(world, "state") == state
    world.open("boris")
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


@pytest.mark.parametrize("code", ["PAYMENT_REQUIRED", "PORTAL_DELETED", "invalid_client", "wrong_client"])
def test_a_refusal_that_is_not_true_of_the_portal_keeps_the_pair(world: World, code: str) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    before = token_column(world, "refresh_token")
    world.bitrix24.faults.add(
        Fault(kind=f"error:{code}:401", where="authorization", method="oauth/token", person="boris")
    )

    for _ in range(3):
        assert world.browser.post("/me/refresh", headers=session).status_code == 403
    assert (token_column(world, "state"), token_column(world, "refresh_token")) == ("live", before)
    assert world.one("SELECT state FROM portals") == "active"
    assert world.bitrix24.count(method="oauth/token") == 2  # his and, once, the most trusted person's

    world.bitrix24.clock.advance(MAX_REFRESH_PAUSE.total_seconds() + 1)
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        *((kind, "reconnect") for kind in ("invalid_grant:400", "expired_token:400", "invalid_token:401")),
        *((kind, "live") for kind in ("NO_AUTH_FOUND:401", "invalid_request:400", "authorization_error:401")),
        *((kind, "live") for kind in ("QUERY_LIMIT_EXCEEDED:503", "insufficient_scope:403", "SOMETHING:400")),
        *((kind, "live") for kind in ("user_access_error:403", "INTERNAL_SERVER_ERROR:500")),
    ],
)
def test_only_a_rejected_refresh_token_revokes_the_pair(world: World, kind: str, state: str) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    before = token_column(world, "refresh_token")
    world.bitrix24.faults.add(Fault(kind=f"error:{kind}", where="authorization", method="oauth/token"))

    world.browser.post("/me/refresh", headers=session)

    assert (token_column(world, "state"), token_column(world, "refresh_token")) == (state, before)


def test_a_rejected_access_token_does_not_revoke_the_pair(world: World) -> None:
    """The portal sends HTML, and the authorization server says that the access token belongs to no application."""
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="html:404", method="batch"))
    removed = Fault(kind="error:ERROR_OAUTH:401", where="authorization", method="rest/app.info", person="boris")
    world.bitrix24.faults.add(removed)

    assert world.browser.post("/me/refresh", headers=session).status_code == 403

    assert token_column(world, "state") == "live"
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


def test_a_refresh_token_of_another_portal_does_not_end_a_run(world: World) -> None:
    world.portal("beta").install()
    elsewhere = world.portal("beta").open_as("clara").refresh_token
    world.portal("beta").end_trial()
    world.open("boris", REFRESH_ID=elsewhere)
    world.open("olena")
    for person in ("anna", "boris", "olena"):
        world.portal().expire(person)

    run = world.sync()

    assert (run["state"], run["done"], run["failed"]) == ("done", 2, 1)


def test_nothing_is_decided_while_the_refresh_of_the_most_trusted_person_fails(world: World) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    removed = Fault(kind="error:NOT_INSTALLED:401", where="authorization", method="oauth/token", person="boris")
    silent = Fault(kind="html:500", where="authorization", method="oauth/token", person="anna")
    world.bitrix24.faults.add(removed)
    world.bitrix24.faults.add(silent)

    assert world.browser.post("/me/refresh", headers=session).status_code == 502

    assert world.one("SELECT state FROM portals WHERE id = 1") == "active"
    assert token_column(world, "state") == "live"
    assert world.browser.post("/me/refresh", headers=session).status_code == 200


def test_the_refresh_of_an_idle_token_detects_a_lost_uninstallation(world: World) -> None:
    world.portal().uninstall()
    world.bitrix24.clock.advance(165 * 86400)

    world.services.periodic_tasks.refresh_idle_tokens()

    assert world.one("SELECT state FROM portals") == "uninstalled"
    assert world.one("SELECT count(*) FROM people") == 0


def test_a_lease_lasts_longer_than_any_refresh() -> None:
    """Else a second process would use a refresh token that the first one has just used."""
    assert LEASE_DURATION.total_seconds() > MAX_WAIT + DEFAULT_TIMEOUTS.total


def test_a_portal_that_denies_the_application_is_not_enough(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.faults.add(Fault(kind="error:ERROR_OAUTH:401", method="batch", times=2))

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 403
    assert world.one("SELECT state FROM portals") == "active"
    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.bitrix24.refreshes() == 1


@pytest.mark.parametrize(
    "strange",
    [
        {"expires_in": None},
        {"expires_in": "3600", "user_id": "7"},
        {"user_id": None},
        {"domain": "oauth.example", "scope": "app"},
        {"client_endpoint": None},
        {"member_id": None},
    ],
)
def test_an_odd_token_response_is_stored(world: World, strange: dict[str, object]) -> None:
    session = world.session("boris")
    world.portal().expire("boris")

    def change(answer: dict[str, object]) -> dict[str, object]:
        changed = {**answer, **strange}
        return {name: value for name, value in changed.items() if value is not None}

    world.bitrix24.faults.add(Fault(kind="answer", where="authorization", method="oauth/token", change=change))

    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.one("SELECT origin FROM portals") == world.portal().origin


@pytest.mark.parametrize("foreign", [{"user_id": 1}, {"member_id": "f" * 32}])
def test_another_persons_pair_is_never_stored(world: World, foreign: dict[str, object]) -> None:
    session = world.session("boris")
    world.portal().expire("boris")
    before = token_column(world, "access_token")
    world.bitrix24.faults.add(
        Fault(kind="answer", where="authorization", method="oauth/token", change=lambda answer: answer | foreign)
    )

    assert world.browser.post("/me/refresh", headers=session).status_code == 403
    assert token_column(world, "access_token") == before
    assert token_column(world, "state") == "reconnect"


def test_settings_of_another_person_are_not_stored(world: World) -> None:
    """The response names its user, so a mixed-up token is noticed."""
    session = world.session("boris")

    def of_anna(answer: dict[str, object]) -> dict[str, object]:
        result = answer["result"]
        assert isinstance(result, dict)
        result["result"]["profile"] |= {"ID": "1"}
        result["result"]["settings"] = {"tabId": "only anna has this"}
        return answer

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=of_anna))

    response = world.browser.post("/me/refresh", headers=session)

    assert (response.status_code, errors_on(response.text)) == (502, ["foreign_profile"])
    assert settings_on(response.text) == world.portal().people["boris"].settings
    assert "only anna" not in str(world.rows("SELECT * FROM snapshots"))


def test_a_renamed_portal_is_found_by_its_refresh(each_world: World) -> None:
    session = each_world.session("boris")
    new_origin = each_world.portal().rename()
    each_world.portal().expire("boris")

    assert each_world.browser.post("/me/refresh", headers=session).status_code == 200
    assert each_world.one("SELECT origin FROM portals") == new_origin
    assert each_world.bitrix24.refreshes() == 1


def test_a_token_moved_to_another_row_is_refused(world: World) -> None:
    session = world.session("boris")
    anna = world.one("SELECT access_token FROM chains JOIN people ON people.id = person_id WHERE user_id = 1")
    set_columns(world, access_token=anna)

    response = world.browser.post("/me/refresh", headers=session)

    assert response.status_code == 403
    assert errors_on(response.text) == ["reconnect"]


@pytest.mark.parametrize("column", ["lease_until", "renewal_paused_until", "renewal_failed_at"])
def test_times_from_a_wrong_clock_delay_no_refresh(world: World, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.tokens.refresh.MAX_LEASE_WAIT_SECONDS", 0.01)
    session = world.session("boris")
    world.portal().expire("boris")
    with world.database.write_session() as rows:
        rows.execute(update(OAuthToken).values({column: world.now() + timedelta(hours=3)}))

    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.bitrix24.refreshes("boris") == 1
