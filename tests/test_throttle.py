"""Throttle failed verifications by address and portal, and do not slow an office with valid ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import delete, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app import create_app
from dashboard.bitrix24.errors import OwnLimit
from dashboard.core import config
from dashboard.core.database import Database, insert_or_ignore
from dashboard.launch.openings import OPENING_LIMIT
from dashboard.models import Person, ThrottleCount
from dashboard.portals import throttle
from dashboard.portals.call_log import UNVERIFIED_CALLS
from dashboard.portals.throttle import (
    UNTRUSTED_PROXY,
    Limit,
    ProcessThrottle,
    Throttle,
    TooManyAttempts,
)
from dashboard.services import build_services
from dashboard.web.auth.verification_throttle import (
    KNOWN_PORTAL_LIMIT,
    KNOWN_TOKEN_LIMIT,
    UNKNOWN_PORTAL_LIMIT,
)
from dashboard.web.http.client_address import PROXY_WARNING_LIMIT, network_of, parse_forwarded
from tests.emulator.faults import Fault
from tests.world import SECRET_KEY, World, errors_on

FORGED = itertools.count()
OFFICE, ATTACKER = "203.0.113.7", "198.51.100.9"


def send_forged(
    world: World,
    address: str,
    *,
    client: FlaskClient | None = None,
    form: dict[str, str] | None = None,
    **headers: str,
) -> TestResponse:
    """Open Alpha with invalid tokens; ``form`` changes fields."""
    opening = world.portal().open_as("boris")
    form = opening.form | {"AUTH_ID": f"{next(FORGED):070}", "APPLICATION_TOKEN": "f" * 32} | (form or {})
    return (client or world.browser).post(
        "/",
        query_string=opening.query,
        data=form,
        environ_base={"REMOTE_ADDR": address},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def send_valid(world: World, person: str, address: str, portal: str = "alpha", **headers: str) -> TestResponse:
    opening = world.portal(portal).open_as(person)
    return world.browser.post(
        "/",
        query_string=opening.query,
        data=opening.form,
        environ_base={"REMOTE_ADDR": address},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def throttle_of(world: World) -> Throttle:
    return Throttle(database=world.database, hash_secret=SecretStr(SECRET_KEY), now=lambda: datetime.now(UTC))


def exhaust(world: World, address: str) -> None:
    """Use up the failures an address is allowed."""
    subject = f"opening {throttle_of(world).group_of(address)} {world.known().member_id}"
    throttle_of(world)._change(subject, KNOWN_PORTAL_LIMIT, by=KNOWN_PORTAL_LIMIT.depth - 1)
    assert send_forged(world, address).status_code == 403


@pytest.fixture
def frozen_world(world: World) -> Iterator[World]:
    """Return the world with a frozen clock, so that no count decreases, and without a request limit."""
    world.portal().bucket = None
    with time_machine.travel(datetime.now(UTC), tick=False):
        yield world


def test_failed_verifications_are_throttled(frozen_world: World) -> None:
    for _ in range(KNOWN_PORTAL_LIMIT.depth):
        assert send_forged(frozen_world, ATTACKER).status_code == 403
    frozen_world.bitrix24.clear()

    refused = send_forged(frozen_world, ATTACKER)

    assert refused.status_code == 429
    assert errors_on(refused.text) == ["too_many_failed_proofs"]
    assert 1 <= int(refused.headers["Retry-After"]) <= KNOWN_PORTAL_LIMIT.seconds
    assert f"frame-ancestors {frozen_world.portal().origin}" in refused.headers["Content-Security-Policy"]
    assert frozen_world.bitrix24.requests == []


def test_an_attempt_after_retry_after_is_verified(frozen_world: World) -> None:
    exhaust(frozen_world, ATTACKER)
    wait = int(send_forged(frozen_world, ATTACKER).headers["Retry-After"])

    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=wait + 1)):
        assert send_forged(frozen_world, ATTACKER).status_code == 403
        assert send_forged(frozen_world, ATTACKER).status_code == 429


def test_openings_with_the_application_token_are_not_blocked(frozen_world: World) -> None:
    exhaust(frozen_world, ATTACKER)
    assert send_forged(frozen_world, ATTACKER).status_code == 429

    assert send_valid(frozen_world, "boris", OFFICE).status_code == 200


def test_an_office_behind_one_address_is_not_slowed(frozen_world: World) -> None:
    """Everybody shares the attacker's address, or TRUSTED_PROXIES was not set."""
    exhaust(frozen_world, ATTACKER)
    frozen_world.bitrix24.clear()

    answers = [send_valid(frozen_world, person, ATTACKER).status_code for person in ("boris", "anna") * 2]

    assert answers == [200] * 4
    assert [request.method for request in frozen_world.bitrix24.requests] == ["batch"] * 4
    assert send_forged(frozen_world, ATTACKER).status_code == 429


def test_failures_in_one_portal_do_not_block_another(frozen_world: World) -> None:
    """Beta's token is not stored yet, so its people cannot be told from strangers."""
    frozen_world.portal("beta").install()
    exhaust(frozen_world, ATTACKER)

    answers = [send_valid(frozen_world, "dmitri", ATTACKER, "beta").status_code for _ in range(2)]

    assert answers == [200, 200]


def test_each_success_takes_back_a_failure(frozen_world: World) -> None:
    """More people than the limit, some of whom fail; no form has a token."""
    exhaust(frozen_world, OFFICE)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=KNOWN_PORTAL_LIMIT.seconds), tick=False):
        for number in range(24):
            opening = frozen_world.portal().open_as("boris" if number % 2 else "anna", form="old")
            answer = frozen_world.browser.post(
                "/", query_string=opening.query, data=opening.form, environ_base={"REMOTE_ADDR": OFFICE}
            )
            assert answer.status_code == 200
            if number % 3 == 2:
                assert send_forged(frozen_world, OFFICE).status_code == 403


def test_unknown_portals_share_a_higher_limit(frozen_world: World) -> None:
    """Otherwise a stranger could invent a new portal for each attempt. A new portal behind that address gets in."""
    name = f"opening {throttle_of(frozen_world).group_of(ATTACKER)}"
    for _ in range(UNKNOWN_PORTAL_LIMIT.depth - 2):
        throttle_of(frozen_world).record_failure(name, UNKNOWN_PORTAL_LIMIT)
    frozen_world.portal("beta").install()
    assert send_valid(frozen_world, "clara", ATTACKER, "beta").status_code == 200

    answers = [
        send_forged(frozen_world, ATTACKER, form={"member_id": f"{number:032}"}).status_code for number in range(4)
    ]

    # The first one is forgiven for Clara's success.
    assert answers == [403, 403, 403, 429]
    assert UNKNOWN_PORTAL_LIMIT.depth > KNOWN_PORTAL_LIMIT.depth


def test_forged_openings_send_the_portal_no_request(frozen_world: World) -> None:
    frozen_world.bitrix24.clear()

    for token in ({}, {"APPLICATION_TOKEN": ""}):
        assert send_forged(frozen_world, ATTACKER, form=token).status_code == 403

    assert [request.where for request in frozen_world.bitrix24.requests] == ["authorization"] * 2


def test_failures_with_the_application_token_send_the_portal_no_more_requests(frozen_world: World) -> None:
    """A colleague knows the token. Their forgeries are verified at the authorization server, and nobody is blocked."""
    own = {"APPLICATION_TOKEN": frozen_world.portal().application_token}
    subject = f"opening-by-token {frozen_world.known().member_id}"
    for _ in range(KNOWN_TOKEN_LIMIT.depth - 1):
        throttle_of(frozen_world).record_failure(subject, KNOWN_TOKEN_LIMIT)
    assert send_forged(frozen_world, ATTACKER, form=own).status_code == 403
    frozen_world.bitrix24.clear()

    for _ in range(3):
        assert send_forged(frozen_world, ATTACKER, form=own).status_code == 403
    assert [request.where for request in frozen_world.bitrix24.requests] == ["authorization"] * 3
    assert send_valid(frozen_world, "boris", OFFICE).status_code == 200


def test_a_portal_without_a_stored_token_is_verified_at_every_opening(world: World) -> None:
    """Only ordinary people have opened it. After the first administrator, an opening takes one request."""
    world.portal("beta").install()
    world.open("dmitri", "beta")
    world.bitrix24.clear()

    world.open("dmitri", "beta")
    proven = [request.method for request in world.bitrix24.requests]
    world.open("clara", "beta")
    world.bitrix24.clear()
    world.open("dmitri", "beta")

    assert proven == ["rest/app.info", "batch"]
    assert [request.method for request in world.bitrix24.requests] == ["batch"]


def test_an_error_of_the_portal_is_not_counted(frozen_world: World) -> None:
    exhaust(frozen_world, OFFICE)
    frozen_world.bitrix24.faults.add(Fault(kind="html:503", where="authorization", method="rest/app.info", times=3))

    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=KNOWN_PORTAL_LIMIT.seconds), tick=False):
        for _ in range(3):
            assert send_forged(frozen_world, OFFICE).status_code == 502

        assert send_forged(frozen_world, OFFICE).status_code == 403


def test_processes_share_the_counts(frozen_world: World) -> None:
    other = create_app(frozen_world.config, database=Database(frozen_world.config.database_url.get_secret_value()))
    exhaust(frozen_world, ATTACKER)

    assert send_forged(frozen_world, ATTACKER, client=other.test_client()).status_code == 429


def test_simultaneous_failures_are_all_counted(each_world: World) -> None:
    each_world.portal().bucket = None
    clients = [each_world.app.test_client() for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(send_forged, each_world, ATTACKER, client=client) for client in clients * 2]
        assert {answer.result().status_code for answer in answers} == {403}

    assert 15 < each_world.one("SELECT max(level) FROM refusals WHERE level < 400") <= 16


def test_simultaneous_attempts_do_not_exceed_the_limit(each_world: World) -> None:
    few = Limit(depth=3, seconds=3600)

    def take(_number: int) -> bool:
        try:
            each_world.services.throttle.take("something", few, code="too_many")
        except OwnLimit:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(16))) == 3


FORWARDED = {
    "0": {"{attacker}": "proxy"},
    "1": {
        "{attacker}": "attacker",
        "1.2.3.4, {attacker}": "attacker",
        "{attacker}:40001": "attacker",
        '"{attacker}:40001"': "attacker",
        "[::ffff:{attacker}]:443": "attacker",
        "not an address": "proxy",
        "unknown": "proxy",
        "_hidden:1": "proxy",
        "": "proxy",
    },
    "2": {"{attacker}, 10.0.0.2": "attacker", "{attacker}": "proxy"},
}


@pytest.mark.parametrize("proxies", FORWARDED)
def test_only_trusted_proxies_determine_the_address(frozen_world: World, proxies: str) -> None:
    settings = config.load(frozen_world.environment | {"TRUSTED_PROXIES": proxies})
    client = create_app(settings, database=frozen_world.database).test_client()
    for forwarded, counted in FORWARDED[proxies].items():
        with frozen_world.database.write_session() as session:
            session.execute(delete(ThrottleCount))
        exhaust(frozen_world, ATTACKER if counted == "attacker" else "10.0.0.1")
        again = forwarded.format(attacker=ATTACKER)
        neighbors = again.replace(ATTACKER, "7.7.7.7")

        answers = [
            send_forged(frozen_world, "10.0.0.1", client=client, X_Forwarded_For=header).status_code
            for header in (again, neighbors)
        ]

        assert answers == ([429, 429] if counted == "proxy" else [429, 403]), forwarded


@pytest.mark.parametrize("remote", ["10.0.0.1", ""])
def test_an_untrusted_proxy_is_logged_now_and_then(
    frozen_world: World, caplog: pytest.LogCaptureFixture, remote: str
) -> None:
    """A server behind a Unix socket sees no address."""
    for _ in range(3):
        send_forged(frozen_world, remote, X_Forwarded_For=OFFICE)
    assert caplog.text.count("proxy_not_trusted") == 1

    frozen_world.bitrix24.clock.advance(PROXY_WARNING_LIMIT.seconds)
    send_forged(frozen_world, remote, X_Forwarded_For=OFFICE)

    assert caplog.text.count("proxy_not_trusted") == 2
    assert throttle_of(frozen_world).last_counted_at(UNTRUSTED_PROXY)


def test_a_forged_header_does_not_report_a_proxy(frozen_world: World, caplog: pytest.LogCaptureFixture) -> None:
    send_forged(frozen_world, "8.8.8.8", X_Forwarded_For=OFFICE)
    assert "proxy_not_trusted" not in caplog.text
    assert throttle_of(frozen_world).last_counted_at(UNTRUSTED_PROXY) is None

    send_valid(frozen_world, "boris", "8.8.8.8", X_Forwarded_For=OFFICE)

    assert "proxy_not_trusted" in caplog.text


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7:40001 ", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        *((text, None) for text in ("unknown", "_x", "_x:80", "", ":80", "[]", "[:", '"', "1.2.3", "[1]:2:3")),
    ],
)
def test_a_forwarded_address_is_parsed_without_its_port(entry: str, address: str | None) -> None:
    assert parse_forwarded(entry) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_an_ipv6_address_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_no_address_is_stored_or_logged(frozen_world: World, caplog: pytest.LogCaptureFixture) -> None:
    exhaust(frozen_world, ATTACKER)
    send_forged(frozen_world, ATTACKER)

    stored = str(frozen_world.rows("SELECT * FROM refusals"))
    assert ATTACKER not in stored + caplog.text
    assert "verification_failed" in caplog.text
    assert "too_many_failed_proofs" in caplog.text


def test_old_counts_are_deleted(frozen_world: World) -> None:
    send_forged(frozen_world, ATTACKER)
    later = datetime.now(UTC) + throttle.RETENTION + timedelta(minutes=1)
    frozen_world.services.periodic_tasks.purge()
    assert frozen_world.one("SELECT count(*) FROM refusals") > 0

    services = build_services(frozen_world.config, database=frozen_world.database, now=lambda: later)
    services.periodic_tasks.purge()

    assert frozen_world.one("SELECT count(*) FROM refusals") == 0


def test_failed_verifications_do_not_fill_the_call_log(frozen_world: World) -> None:
    """From any number of addresses."""
    send_forged(frozen_world, "198.51.100.1")
    subject = f"calls {frozen_world.known().member_id}"
    for _ in range(UNVERIFIED_CALLS.depth - 2):
        throttle_of(frozen_world).record_failure(subject, UNVERIFIED_CALLS)
    before = frozen_world.one("SELECT count(*) FROM api_calls")
    send_forged(frozen_world, "198.51.100.2")
    last = frozen_world.one("SELECT count(*) FROM api_calls")

    for number in range(3, 8):
        assert send_forged(frozen_world, f"198.51.100.{number}").status_code == 403

    assert last > before
    assert frozen_world.one("SELECT count(*) FROM api_calls") == last


def test_forged_events_are_throttled_before_bitrix24_is_asked(frozen_world: World) -> None:
    def forge(portal: str, member_id: str | None = None) -> int:
        more: dict[str, Any] = {"member_id": member_id} if member_id else {}
        return frozen_world.portal(portal).send_event(
            "ONAPPUPDATE", application_token="f" * 32, access_token="a" * 70, **more
        )[0]

    for _ in range(UNKNOWN_PORTAL_LIMIT.depth - 1):
        throttle_of(frozen_world).record_failure(
            f"event {throttle_of(frozen_world).group_of('127.0.0.1')} ", UNKNOWN_PORTAL_LIMIT
        )
    assert forge("alpha", "e" * 32) == 403
    frozen_world.bitrix24.clear()
    assert forge("alpha", "e" * 32) == 429
    assert frozen_world.bitrix24.requests == []
    # The servers that send events are everybody's: a known portal's are counted apart, and proven ones never.
    assert forge("alpha") == 403
    frozen_world.portal().update(new_application_token=True)
    assert ("ONAPPUPDATE", 200) in [(name, status) for name, status, _ in frozen_world.portal().deliver_events()]
    assert frozen_world.portal().send_event("ONAPPUNINSTALL")[0] == 200


def test_a_count_that_is_purged_meanwhile_is_inserted_again(each_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two statements that insert and lock it."""
    inserts = []

    def insert_and_purge(session: Session, *arguments: Any) -> None:
        insert_or_ignore(session, *arguments)
        inserts.append(arguments)
        if len(inserts) == 1:
            session.execute(delete(ThrottleCount))

    monkeypatch.setattr(throttle, "insert_or_ignore", insert_and_purge)

    each_world.services.throttle.take("something", Limit(depth=3, seconds=3600), code="too_many")

    assert len(inserts) == 2
    assert each_world.one("SELECT level FROM refusals") == 1


def test_no_count_starts_again_after_a_deletion(frozen_world: World) -> None:
    """The portal and its people then have other rows, but are counted as before."""
    world, alpha = frozen_world, frozen_world.portal()
    world.open("anna")  # and its token is stored
    own = {"APPLICATION_TOKEN": alpha.application_token}

    def attempt_everything() -> set[str]:
        with world.database.write_session() as session:
            session.execute(delete(ThrottleCount))
        world.open("boris")  # for the first time
        anna = world.session("anna")
        for form in (None, own):
            assert send_forged(world, ATTACKER, form=form).status_code == 403
        assert alpha.send_event("ONAPPUPDATE", application_token="f" * 32, access_token="a" * 70)[0] == 403
        assert world.browser.post("/team/sync", headers=anna).status_code == 202
        for change in ({"confirmed_at": None}, {"confirmed_at": world.now()}):
            with world.database.write_session() as session:
                session.execute(update(Person).values(change))
            world.browser.get("/team", headers=anna)
        alpha.expire("anna")
        world.bitrix24.faults.add(Fault(kind="error:expired_token:401", method="batch", times=2))
        world.browser.post("/me/refresh", headers=anna)
        world.bitrix24.faults.clear()
        anna = world.session("anna")
        forgotten = world.browser.post("/admin/forget", headers=anna, data={"domain": alpha.domain})
        assert forgotten.status_code == 200
        return {row["key"] for row in world.rows("SELECT key FROM refusals")}

    subjects = attempt_everything()

    assert len(subjects) == 13
    assert attempt_everything() == subjects


def test_openings_with_one_access_token_are_limited_once_the_portal_is_exhausted(
    frozen_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody uses up the request limit of the portal, which all its people share."""
    monkeypatch.setattr(frozen_world.services.opening_throttle, "_clock", lambda: 0.0)
    opening = frozen_world.portal().open_as("boris")
    assert {frozen_world.post("/", opening).status_code for _ in range(OPENING_LIMIT.depth + 5)} == {200}
    frozen_world.bitrix24.faults.add(Fault(kind="error:QUERY_LIMIT_EXCEEDED:503", method="batch"))
    assert frozen_world.open("anna").status_code == 503
    frozen_world.bitrix24.clear()
    before = frozen_world.one("SELECT count(*) FROM api_calls"), frozen_world.rows("SELECT * FROM refusals")

    for path in ("/", "/install"):
        answer = frozen_world.post(path, opening)
        assert (answer.status_code, errors_on(answer.text)) == (429, ["too_many_openings"])
        assert 1 <= int(answer.headers["Retry-After"]) <= OPENING_LIMIT.seconds

    assert frozen_world.bitrix24.requests == []
    assert (frozen_world.one("SELECT count(*) FROM api_calls"), frozen_world.rows("SELECT * FROM refusals")) == before
    assert frozen_world.open("boris").status_code == 200  # a new token
    assert frozen_world.open("anna").status_code == 200


def test_a_process_forgets_attempts_after_a_while_and_the_oldest_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MAX_PROCESS_SUBJECTS", 2)
    seconds = [0.0]
    limit = ProcessThrottle(Limit(depth=2, seconds=6), code="too_many", clock=lambda: seconds[-1])
    limit.enforce("portal")

    def is_allowed(key: str) -> bool:
        try:
            limit.take(key, group="portal")
        except TooManyAttempts as error:
            assert (error.code, error.retry_after_seconds) == ("too_many", 6 - seconds[-1] % 6)
            return False
        return True

    assert [is_allowed("a") for _ in range(3)] == [True, True, False]
    seconds.append(5.0)
    assert not is_allowed("a")
    seconds.append(6.0)
    assert [is_allowed("a") for _ in range(2)] == [True, False]
    assert is_allowed("b")
    assert is_allowed("c")
    assert is_allowed("a")


def test_failures_dated_in_the_future_are_dropped(world: World) -> None:
    moments = [datetime.now(UTC)]
    throttle = Throttle(database=world.database, hash_secret=SecretStr(SECRET_KEY), now=lambda: moments[-1])
    allowance = Limit(depth=1, seconds=60)
    throttle.record_failure("somebody", allowance)
    with pytest.raises(TooManyAttempts):
        throttle.check("somebody", allowance)

    moments.append(moments[0] - timedelta(hours=3))

    assert throttle.check("somebody", allowance) is False


def test_any_number_of_addresses_leaves_a_limited_number_of_counts(
    frozen_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An IPv6 provider's customer may own a billion networks, and each count is kept for a day."""
    monkeypatch.setattr(throttle, "ADDRESS_GROUPS", 4)

    for number in range(40):
        assert send_forged(frozen_world, f"2001:db8:0:{number:x}::1").status_code == 403

    assert 0 < frozen_world.one("SELECT count(*) FROM refusals") <= 4 + 3  # the portal's own
