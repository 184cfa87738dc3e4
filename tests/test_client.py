"""Calls, batches and tokens against the pretend Bitrix24, and what is remembered of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from dashboard.bitrix24.answers import AppInfo, Profile, Proof, TokenPair, read_as, read_profile
from dashboard.bitrix24.client import Batch, Client, Command
from dashboard.bitrix24.errors import (
    ApplicationGone,
    ApplicationUnknown,
    Bitrix24Error,
    CallRejected,
    GrantRejected,
    KeysRejected,
    MethodMissing,
    NotAnswered,
    PaymentRequired,
    PersonDismissed,
    PersonNotAllowed,
    PortalClosed,
    PortalMoved,
    QueryLimit,
    ScopeMissing,
    ServerFailed,
    TokenRejected,
    Unreachable,
    Unreadable,
)
from dashboard.bitrix24.exchange import Exchange
from dashboard.bitrix24.journal import HIDDEN, SPOKEN, Call, masked
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import Patience, Reach, Transport
from dashboard.shapes import Json
from tests.emulator import OTHER_CLIENT_ID, Emulator, Fault, Opening, Portal

Leaf = type[Bitrix24Error]
Change = Callable[[dict[str, Any]], dict[str, Any]]

EMPTY: list[Json] = []  # what PHP writes for a map that holds nothing


@pytest.fixture
def remembered() -> list[Call]:
    """Give the list every call is remembered in."""
    return []


@pytest.fixture
def exchange(remembered: list[Call]) -> Exchange:
    """Give the way to the pretend Bitrix24."""
    patience = Patience(connect=5, read=10, whole=20)
    return Exchange(Transport(Reach(loopback=True), patience=patience), remembered.append)


@pytest.fixture
def alpha(bitrix24: Emulator) -> Portal:
    """Give Alpha with the application installed."""
    portal = bitrix24.portal("alpha")
    portal.install()
    return portal


@pytest.fixture
def client(exchange: Exchange, alpha: Portal) -> Client:
    """Give the client for Alpha at its present address."""
    return Client(exchange, alpha.origin)


@pytest.fixture
def servers(exchange: Exchange, bitrix24: Emulator) -> AuthorizationServers:
    """Give the authorization servers, of which the pretend one is the only."""
    return servers_of(bitrix24, exchange)


def servers_of(
    bitrix24: Emulator, exchange: Exchange, *, client_id: str = "", client_secret: str = ""
) -> AuthorizationServers:
    return AuthorizationServers(
        exchange,
        allowed=(bitrix24.authorization_server,),
        client_id=client_id or bitrix24.client_id,
        client_secret=SecretStr(client_secret or bitrix24.client_secret),
    )


def token_of(portal: Portal, person: str = "boris") -> str:
    return portal.open_as(person).access_token


def answered(bitrix24: Emulator, change: Change, *, where: str = "portal") -> None:
    """Let the next answer be changed on its way."""
    bitrix24.faults.add(Fault("answer", where=where, change=change))


# A call


def test_it_works(client: Client, alpha: Portal) -> None:
    settings = client.call("calendar.user.settings.get", token=token_of(alpha))

    assert settings == alpha.people["boris"].settings


def test_parameters_arrive_whole(client: Client, alpha: Portal) -> None:
    token = token_of(alpha)

    client.call("user.option.set", {"options": {"note": "Ы & 'b' <i>", "n": [1, None]}}, token=token)

    assert alpha.people["boris"].options["note"] == "Ы & 'b' <i>"


def test_the_token_goes_in_the_body_and_nowhere_else(
    client: Client, alpha: Portal, bitrix24: Emulator
) -> None:
    client.call("profile", {"auth": "somebody else's"}, token=token_of(alpha))
    client.batch({"me": Command("profile")}, token=token_of(alpha))

    assert [(seen.verb, seen.status, seen.person) for seen in bitrix24.requests] == [
        ("POST", 200, "boris")
    ] * 2
    assert not any(seen.token_in_url or seen.had_cookie for seen in bitrix24.requests)


def test_nothing_is_a_result_too(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    answered(bitrix24, lambda body: body | {"result": None})

    assert client.call("profile", token=token_of(alpha)) is None


def test_an_answer_without_result_is_none(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    answered(bitrix24, lambda body: {"time": body["time"]})

    with pytest.raises(Unreadable):
        client.call("profile", token=token_of(alpha))


@pytest.mark.parametrize(
    ("happening", "leaf"),
    [
        (lambda alpha: alpha.expire("boris"), TokenRejected),
        (lambda alpha: alpha.uninstall(), ApplicationUnknown),
        (lambda alpha: alpha.end_trial(), PaymentRequired),
        (lambda alpha: alpha.close(), PortalClosed),
        (lambda alpha: alpha.dismiss("boris"), PersonDismissed),
        (lambda alpha: alpha.restrict("boris"), PersonNotAllowed),
        (lambda alpha: alpha.drop_scope("calendar"), ScopeMissing),
        (lambda alpha: alpha.rename(), PortalMoved),
    ],
    ids=[
        "an hour later", "removed", "unpaid", "closed", "dismissed", "not allowed", "no scope", "renamed"
    ],
)  # fmt: skip
def test_what_happens_to_a_portal_is_told_by_its_leaf(
    client: Client, alpha: Portal, happening: Callable[[Portal], object], leaf: Leaf
) -> None:
    token = token_of(alpha)
    happening(alpha)

    with pytest.raises(Bitrix24Error) as caught:
        client.call("calendar.user.settings.get", token=token)

    assert type(caught.value) is leaf


def test_a_token_of_another_portal_is_refused(client: Client, bitrix24: Emulator) -> None:
    beta = bitrix24.portal("beta")
    beta.install()

    with pytest.raises(TokenRejected):
        client.call("profile", token=token_of(beta, "clara"))


def test_a_missing_method_is_told(client: Client, alpha: Portal) -> None:
    with pytest.raises(MethodMissing):
        client.call("no.such.method", token=token_of(alpha))


@pytest.mark.parametrize(
    ("kind", "leaf"),
    [
        ("reset", Unreachable),
        ("lost", Unreachable),
        ("truncated", NotAnswered),
        ("status:500", ServerFailed),
        ("html:503", ServerFailed),
        ("html:403", Unreadable),
        ("html:200", Unreadable),
        ("body:nonsense", Unreadable),
        ("body:{}", Unreadable),
        ("huge:9000000", Unreadable),
        ("redirect:http://127.0.0.1:9/", PortalMoved),
        ("error:INTERNAL_SERVER_ERROR", ServerFailed),
        ("error:QUERY_LIMIT_EXCEEDED", QueryLimit),
    ],
)
def test_what_goes_wrong_on_the_way_is_told_and_not_repeated(
    client: Client, alpha: Portal, bitrix24: Emulator, kind: str, leaf: Leaf
) -> None:
    bitrix24.faults.add(Fault(kind))

    with pytest.raises(leaf):
        client.call("profile", token=token_of(alpha))

    assert bitrix24.count(method="profile") == 1


# A batch


def test_a_batch_answers_by_key_in_one_request(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    commands = {"me": Command("profile"), "mine": Command("calendar.user.settings.get")}

    batch = client.batch(commands, token=token_of(alpha))

    assert read_profile(batch["me"]).ID == 7
    assert batch["mine"] == alpha.people["boris"].settings
    assert (dict(batch.errors), len(bitrix24.requests)) == ({}, 1)


def test_a_failing_command_fails_alone(client: Client, alpha: Portal) -> None:
    alpha.drop_scope("calendar")
    commands = {
        "me": Command("profile"),
        "mine": Command("calendar.user.settings.get"),
        "no": Command("no.such"),
    }

    batch = client.batch(commands, token=token_of(alpha))

    assert read_profile(batch["me"]).NAME == "Boris"
    assert {key: type(error) for key, error in batch.errors.items()} == {
        "mine": ScopeMissing,
        "no": MethodMissing,
    }
    with pytest.raises(ScopeMissing):
        batch["mine"]


def test_an_empty_code_is_an_error_in_a_batch_too(client: Client, alpha: Portal) -> None:
    batch = client.batch({"sections": Command("calendar.section.get")}, token=token_of(alpha))

    with pytest.raises(CallRejected) as caught:
        batch["sections"]
    assert caught.value.code == ""


def test_a_refused_batch_is_refused_as_a_whole(client: Client, alpha: Portal) -> None:
    token = token_of(alpha)
    alpha.expire("boris")

    with pytest.raises(TokenRejected):
        client.batch({"me": Command("profile")}, token=token)


def test_parameters_of_a_command_arrive_whole(client: Client, alpha: Portal) -> None:
    bind = Command(
        "placement.bind",
        {
            "PLACEMENT": "CALENDAR_GRIDVIEW",
            "HANDLER": "http://127.0.0.1:8000/?a=1&b=2",
            "TITLE": "Everyone's hours & more",
            "LANG_ALL[ru][TITLE]": "Часы работы + 100%",
        },
    )

    batch = client.batch({"bind": bind}, token=token_of(alpha, "anna"))

    assert batch["bind"] is True
    (placement,) = alpha.application.placements
    assert (placement.url, placement.title) == ("http://127.0.0.1:8000/?a=1&b=2", "Everyone's hours & more")
    assert placement.lang_all == {"ru": {"TITLE": "Часы работы + 100%"}}


def test_fifty_commands_fit_and_more_are_not_sent(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    commands = {f"p{number}": Command("profile") for number in range(51)}
    fitting = dict(list(commands.items())[:50])

    assert len(client.batch(fitting, token=token_of(alpha)).results) == 50
    with pytest.raises(ValueError, match="50 commands, not 51"):
        client.batch(commands, token=token_of(alpha))
    assert len(bitrix24.requests) == 1


def test_results_that_php_wrote_as_a_list_are_found(client: Client, alpha: Portal) -> None:
    """Keys counted from nought come back as a list; with a gap they do not."""
    profile, missing = Command("profile"), Command("no.such")

    whole = client.batch({"0": profile, "1": Command("user.admin")}, token=token_of(alpha))
    gap = client.batch({"0": missing, "1": profile}, token=token_of(alpha))

    assert (read_profile(whole["0"]).ID, whole["1"]) == (7, False)
    assert read_profile(gap["1"]).ID == 7
    assert isinstance(gap.errors["0"], MethodMissing)


def test_empty_parts_come_as_lists(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    answered(bitrix24, lambda body: body | {"result": dict.fromkeys(body["result"], EMPTY)})

    batch = client.batch({"me": Command("profile")}, token=token_of(alpha))

    assert (dict(batch.results), dict(batch.errors)) == ({}, {})
    with pytest.raises(Unreadable, match="command_not_answered"):
        batch["me"]


@pytest.mark.parametrize(
    ("parts", "leaf"),
    [
        ({"result": {"me": {"ID": "7"}}, "result_error": {"me": {"error": "ACCESS_DENIED"}}}, Bitrix24Error),
        ({"result": {}, "result_error": {"me": "ACCESS_DENIED"}}, CallRejected),
        ({"result": {}, "result_error": {"me": None}}, CallRejected),
        ({"result": {}, "result_error": {"me": {}}}, CallRejected),
        ({"result": None, "result_error": None}, Unreadable),
        ({"result": "nonsense", "result_error": 5}, Unreadable),
        ({}, Unreadable),
    ],
)
def test_parts_of_odd_shapes_are_errors_by_key(
    client: Client, alpha: Portal, bitrix24: Emulator, parts: Json, leaf: Leaf
) -> None:
    answered(bitrix24, lambda body: body | {"result": parts})

    batch = client.batch({"me": Command("profile")}, token=token_of(alpha))

    with pytest.raises(leaf):
        batch["me"]


@pytest.mark.parametrize("result", [[], None, "text", 5, True])
def test_a_batch_that_is_no_map_is_unreadable(
    client: Client, alpha: Portal, bitrix24: Emulator, result: Json
) -> None:
    answered(bitrix24, lambda body: body | {"result": result})

    with pytest.raises(Unreadable):
        client.batch({"me": Command("profile")}, token=token_of(alpha))


def test_an_error_says_so_whenever_it_is_asked() -> None:
    batch = Batch(results={}, errors={"me": ScopeMissing("insufficient_scope")})

    for _ in range(2):
        with pytest.raises(ScopeMissing):
            batch["me"]


# Refreshing


def refresh(servers: AuthorizationServers, token: str) -> TokenPair:
    return servers.refresh(servers.allowed[0], SecretStr(token))


def test_a_refresh_gives_a_new_pair(servers: AuthorizationServers, alpha: Portal, client: Client) -> None:
    opening = alpha.open_as("boris")

    pair = refresh(servers, opening.refresh_token)

    assert pair.access_token.get_secret_value() != opening.access_token
    assert (pair.expires_in, pair.member_id, pair.user_id) == (3600, alpha.member_id, 7)
    # The answer's `domain` is the authorization server's; the portal's address is its `client_endpoint`.
    assert pair.origin == alpha.origin
    profile = client.call("profile", token=pair.access_token.get_secret_value())
    assert read_profile(profile).ID == 7


def test_a_refresh_token_works_once(servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator) -> None:
    opening = alpha.open_as("boris")
    pair = refresh(servers, opening.refresh_token)

    with pytest.raises(GrantRejected):
        refresh(servers, opening.refresh_token)

    assert pair.refresh_token is not None
    assert refresh(servers, pair.refresh_token.get_secret_value()).user_id == 7
    assert bitrix24.refreshes("boris") == 2


def test_no_secret_is_ever_in_an_address(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator
) -> None:
    opening = alpha.open_as("boris")

    servers.app_info(servers.allowed[0], SecretStr(opening.access_token))
    refresh(servers, opening.refresh_token)

    assert [(seen.verb, seen.method) for seen in bitrix24.requests] == [
        ("POST", "rest/app.info"),
        ("POST", "oauth/token"),
    ]
    assert bitrix24.secrets_in_urls == 0
    assert not any(seen.token_in_url for seen in bitrix24.requests)


@pytest.mark.parametrize(
    "foreign",
    [
        "https://oauth.bitrix.info.evil.example",
        "http://localhost",
        "",
        "{allowed}/",
        "{allowed}@evil.example",
        "{portal}",
    ],
)
def test_a_foreign_server_is_refused_before_anything_is_sent(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator, foreign: str
) -> None:
    server = foreign.format(allowed=servers.allowed[0], portal=alpha.origin)
    opening = alpha.open_as("boris")

    with pytest.raises(ValueError, match="not an allowed authorization server"):
        servers.refresh(server, SecretStr(opening.refresh_token))
    with pytest.raises(ValueError, match="not an allowed authorization server"):
        servers.app_info(server, SecretStr(opening.access_token))

    assert (bitrix24.requests, bitrix24.connections) == ([], 0)


@pytest.mark.parametrize(
    ("endpoint", "chosen"),
    [
        ("https://oauth.bitrix24.tech/rest/", "https://oauth.bitrix24.tech"),
        ("https://OAUTH.bitrix24.tech:443/rest/", "https://oauth.bitrix24.tech"),
        ("https://oauth.bitrix24.tech", "https://oauth.bitrix24.tech"),
        ("http://oauth.bitrix24.tech/rest/", "https://oauth.bitrix.info"),
        ("https://oauth.bitrix24.tech:8443/rest/", "https://oauth.bitrix.info"),
        ("https://anna@oauth.bitrix24.tech/rest/", "https://oauth.bitrix.info"),
        ("https://oauth.bitrix24.tech.evil.example/rest/", "https://oauth.bitrix.info"),
        ("https://evil.example/https://oauth.bitrix24.tech/", "https://oauth.bitrix.info"),
        ("https://[", "https://oauth.bitrix.info"),
        ("https://oauth.bitrix24.tech:port/", "https://oauth.bitrix.info"),
        (f"https://{'ы' * 100}.example/", "https://oauth.bitrix.info"),
        ("https://\ud800/", "https://oauth.bitrix.info"),
        ("oauth.bitrix24.tech", "https://oauth.bitrix.info"),
        ("", "https://oauth.bitrix.info"),
        (None, "https://oauth.bitrix.info"),
    ],
)
def test_only_an_allowed_server_is_chosen(exchange: Exchange, endpoint: str | None, chosen: str) -> None:
    allowed = ("https://oauth.bitrix.info", "https://oauth.bitrix24.tech")
    servers = AuthorizationServers(exchange, allowed, "app.test.1", SecretStr("x"))

    assert servers.choose(endpoint) == chosen


def test_a_wrong_client_is_told_with_http_200(exchange: Exchange, alpha: Portal, bitrix24: Emulator) -> None:
    strangers = servers_of(bitrix24, exchange, client_id="app.nobody")

    with pytest.raises(KeysRejected) as caught:
        refresh(strangers, alpha.open_as("boris").refresh_token)

    assert (caught.value.code, caught.value.status) == ("wrong_client", 200)


def test_a_wrong_secret_is_the_operators_fault(exchange: Exchange, alpha: Portal, bitrix24: Emulator) -> None:
    with pytest.raises(KeysRejected):
        refresh(servers_of(bitrix24, exchange, client_secret="wrong"), alpha.open_as("boris").refresh_token)


@pytest.mark.parametrize(
    ("happening", "leaf"),
    [
        (lambda alpha: alpha.kill_refresh("boris"), GrantRejected),
        (lambda alpha: alpha.uninstall(), ApplicationGone),
        (lambda alpha: alpha.end_trial(), PaymentRequired),
        (lambda alpha: alpha.world.clock.advance(181 * 86400), GrantRejected),
    ],
    ids=["void", "removed", "unpaid", "too old"],
)
def test_a_refused_refresh_is_told_by_its_leaf(
    servers: AuthorizationServers, alpha: Portal, happening: Callable[[Portal], object], leaf: Leaf
) -> None:
    token = alpha.open_as("boris").refresh_token
    happening(alpha)

    with pytest.raises(Bitrix24Error) as caught:
        refresh(servers, token)

    assert type(caught.value) is leaf


@pytest.mark.parametrize(
    ("kind", "leaf"),
    [
        ("error:expired_token:400", GrantRejected),
        ("error:INVALID_TOKEN:401", GrantRejected),
        ("error:bad_verification_code:400", GrantRejected),
        ("error:invalid_scope:403", ScopeMissing),
        ("error:QUERY_LIMIT_EXCEEDED", QueryLimit),
        ("html:502", ServerFailed),
        ("html:200", Unreadable),
        ("redirect:http://127.0.0.1:9/", PortalMoved),
        ("reset", Unreachable),
        ("lost", Unreachable),
    ],
)
def test_a_failed_refresh_is_not_repeated(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator, kind: str, leaf: Leaf
) -> None:
    bitrix24.faults.add(Fault(kind, where="authorization"))

    with pytest.raises(Bitrix24Error) as caught:
        refresh(servers, alpha.open_as("boris").refresh_token)

    assert type(caught.value) is leaf
    assert len(bitrix24.requests) == 1


# Strange answers: the old pair is void by then, so a new one is not thrown away for an oddity beside it


ODD_PAIRS: list[tuple[str, Json, str, object]] = [
    ("expires_in", "3600", "expires_in", 3600),
    ("expires_in", 1800, "expires_in", 1800),
    ("expires_in", "1800", "expires_in", 1800),
    ("expires_in", "", "expires_in", 3600),
    ("expires_in", None, "expires_in", 3600),
    ("expires_in", 0, "expires_in", 3600),
    ("expires_in", -5, "expires_in", 3600),
    ("expires_in", True, "expires_in", 3600),
    ("expires_in", 10**12, "expires_in", 3600),
    ("expires_in", 1e300, "expires_in", 3600),
    ("expires_in", "soon", "expires_in", 3600),
    ("expires_in", [], "expires_in", 3600),
    ("user_id", "7", "user_id", 7),
    ("user_id", 7.0, "user_id", 7),
    ("user_id", "", "user_id", None),
    ("user_id", None, "user_id", None),
    ("user_id", 0, "user_id", None),
    ("user_id", "0", "user_id", None),
    ("user_id", -7, "user_id", None),
    ("user_id", False, "user_id", None),
    ("user_id", True, "user_id", None),
    ("user_id", [], "user_id", None),
    ("user_id", "seven", "user_id", None),
    ("user_id", 10**30, "user_id", None),
    ("refresh_token", "", "refresh_token", None),
    ("refresh_token", None, "refresh_token", None),
    ("refresh_token", False, "refresh_token", None),
    ("refresh_token", [], "refresh_token", None),
    ("member_id", None, "member_id", ""),
    ("member_id", False, "member_id", ""),
    ("client_endpoint", None, "origin", None),
    ("client_endpoint", False, "origin", None),
    ("client_endpoint", [], "origin", None),
    ("client_endpoint", "", "origin", None),
    ("client_endpoint", "nonsense", "origin", None),
    ("client_endpoint", "https://[", "origin", None),
    ("client_endpoint", f"https://{'a' * 300}.example/rest/", "origin", None),
    ("client_endpoint", "https://ACME.example:443/rest/", "origin", "https://acme.example"),
    ("domain", "https://evil.example", "expires_in", 3600),
    ("scope", None, "expires_in", 3600),
    ("status", {}, "expires_in", 3600),
]


@pytest.mark.parametrize(("name", "odd", "read", "meant"), ODD_PAIRS)
def test_an_odd_pair_is_a_pair(name: str, odd: Json, read: str, meant: object) -> None:
    answer: dict[str, Json] = {"access_token": "a" * 70, "refresh_token": "b" * 70, "expires_in": 3600}

    pair = read_as(TokenPair, answer | {name: odd})

    assert pair.access_token.get_secret_value() == "a" * 70
    assert getattr(pair, read) == meant


def test_a_pair_needs_nothing_but_its_token(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator
) -> None:
    answered(bitrix24, lambda body: {"access_token": body["access_token"]}, where="authorization")

    pair = refresh(servers, alpha.open_as("boris").refresh_token)

    assert pair.access_token.get_secret_value()
    assert (pair.refresh_token, pair.expires_in, pair.user_id, pair.member_id, pair.origin) == (
        None,
        3600,
        None,
        "",
        None,
    )


@pytest.mark.parametrize("token", ["", None, False, [], {}, "x" * 3000])
def test_a_pair_without_a_token_is_none(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator, token: Json
) -> None:
    answered(bitrix24, lambda body: body | {"access_token": token}, where="authorization")

    with pytest.raises(Unreadable):
        refresh(servers, alpha.open_as("boris").refresh_token)


# Whose token it is


def prove(servers: AuthorizationServers, token: str) -> Proof:
    return servers.app_info(servers.allowed[0], SecretStr(token))


def test_a_proof_says_whose_token_it_is(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator
) -> None:
    proof = prove(servers, token_of(alpha))

    assert (proof.client_id, proof.member_id) == (bitrix24.client_id, alpha.member_id)
    assert (proof.origin, proof.user_id) == (alpha.origin, 7)


def test_a_proof_names_a_foreign_application(servers: AuthorizationServers, alpha: Portal) -> None:
    foreign = alpha.open_as("boris", client_id=OTHER_CLIENT_ID)

    assert prove(servers, foreign.access_token).client_id == OTHER_CLIENT_ID


@pytest.mark.parametrize(
    ("happening", "leaf"),
    [
        (lambda alpha: alpha.expire("boris"), TokenRejected),
        (lambda alpha: alpha.uninstall(), ApplicationGone),
    ],
    ids=["an hour later", "removed"],
)
def test_a_token_that_proves_nothing_is_told(
    servers: AuthorizationServers, alpha: Portal, happening: Callable[[Portal], object], leaf: Leaf
) -> None:
    token = token_of(alpha)
    happening(alpha)

    with pytest.raises(leaf):
        prove(servers, token)


@pytest.mark.parametrize(
    ("change", "origin"),
    [
        ({"client_endpoint": "https://acme.example/rest/"}, "https://acme.example"),
        ({"client_endpoint": "https://ACME.example:443/rest/"}, "https://acme.example"),
        ({"client_endpoint": "https://acme.example:8443/rest/"}, "https://acme.example:8443"),
        ({"client_endpoint": "https://фирма.example/rest/"}, "https://xn--80apmps.example"),
        ({"version": 2, "installed": "Y", "scope": ["calendar"], "status": None}, None),
    ],
)
def test_an_odd_proof_is_a_proof(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator, change: Json, origin: str | None
) -> None:
    def changed(body: dict[str, Any]) -> dict[str, Any]:
        install = body["result"]["install"] | change
        return body | {"result": body["result"] | {"install": install, "user_id": "0"}}

    answered(bitrix24, changed, where="authorization")

    proof = prove(servers, token_of(alpha))

    assert (proof.origin, proof.user_id) == (origin or alpha.origin, None)


@pytest.mark.parametrize(
    "install",
    [
        {},
        [],
        None,
        {"member_id": "a"},
        {"member_id": "a", "client_endpoint": "nonsense"},
        {"member_id": "a", "client_endpoint": "https://anna:x@acme.example/rest/"},
        {"member_id": "a", "client_endpoint": "ftp://acme.example/"},
        {"member_id": "a", "client_endpoint": f"https://{'a' * 300}.example/"},
        {"member_id": "a", "client_endpoint": None},
        {"client_endpoint": "https://acme.example/rest/"},
    ],
)
def test_a_proof_without_its_substance_proves_nothing(install: Json) -> None:
    with pytest.raises(Unreadable):
        read_as(Proof, {"client_id": "app.test.1", "install": install})


@pytest.mark.parametrize(
    ("profile", "leaf"),
    [
        ([], PersonDismissed),
        ({}, PersonDismissed),
        (None, PersonDismissed),
        ({"ID": True}, Unreadable),
        ({"ID": 0}, Unreadable),
        ({"ID": "-1"}, Unreadable),
        ({"ID": "7_1"}, Unreadable),
        ({"ID": ""}, Unreadable),
        ({"ID": 10**30}, Unreadable),
        ({"ID": [7]}, Unreadable),
        ({"NAME": "Boris"}, Unreadable),
        ("Boris", Unreadable),
    ],
)
def test_nobody_is_taken_for_somebody(profile: Json, leaf: Leaf) -> None:
    with pytest.raises(leaf):
        read_profile(profile)


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        ({"ID": "7", "NAME": "Boris", "LAST_NAME": "Keller"}, "Boris Keller"),
        ({"ID": 7, "NAME": False, "LAST_NAME": "Keller"}, "Keller"),
        ({"ID": 7.0, "NAME": "Bo\0ris\n", "LAST_NAME": []}, "Boris"),
        ({"ID": "7", "NAME": "x" * 999}, "x" * 255),
        ({"ID": "7", "NAME": 42, "ADMIN": "N"}, "42"),
        ({"ID": "7"}, ""),
    ],
)
def test_an_odd_profile_is_a_profile(odd: Json, name: str) -> None:
    profile = read_profile(odd)

    assert (profile.ID, profile.full_name, profile.ADMIN) == (7, name, False)


@pytest.mark.parametrize("odd", [True, 1, "Y", "y", "1", "true"])
def test_an_administrator_is_one_in_every_spelling(odd: Json) -> None:
    assert read_profile({"ID": "1", "ADMIN": odd}).ADMIN


@pytest.mark.parametrize("odd", [False, 0, "N", "0", "", "false", None, [], {}, ["Y"], "yes please", 2])
def test_nobody_becomes_an_administrator_by_an_oddity(odd: Json) -> None:
    assert not read_profile({"ID": "7", "ADMIN": odd}).ADMIN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KINDS = (AppInfo, Profile, Proof, TokenPair)


@given(kind=st.sampled_from(KINDS), data=st.data())
def test_any_answer_is_read_or_unreadable(kind: Any, data: st.DataObject) -> None:
    fields = dict.fromkeys(kind.model_fields, JSON)
    value = data.draw(JSON | st.fixed_dictionaries({}, optional=fields))

    try:
        read = read_as(kind, value)
    except Unreadable:
        return

    for field in read.model_dump().values():
        assert not isinstance(field, str) or (len(field) <= 2048 and "\0" not in field)


@given(pair=st.fixed_dictionaries({"access_token": st.just("a-token-nobody-sees"), "expires_in": JSON}))
def test_a_pair_with_a_token_is_read_whatever_its_lifetime(pair: Json) -> None:
    assert 0 < read_as(TokenPair, pair).expires_in <= 30 * 86400


def test_no_refused_answer_tells_its_token() -> None:
    answer: Json = {"access_token": ["a-token-nobody-sees"], "refresh_token": "another-token-nobody-sees"}

    with pytest.raises(Unreadable) as caught:
        read_as(TokenPair, answer)

    error: BaseException | None = caught.value
    while error is not None:
        assert "nobody-sees" not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


# What is remembered


def everything(client: Client, servers: AuthorizationServers, opening: Opening, portal: Portal) -> None:
    """Ask all that the application asks, and more, as one person."""
    token, anna = opening.access_token, token_of(portal, "anna")
    client.batch(
        {
            "app": Command("app.info"),
            "profile": Command("profile"),
            "settings": Command("calendar.user.settings.get"),
            "account": Command("calendar.settings.get"),
            "sections": Command("calendar.section.get", {"type": "user"}),
            "events": Command("event.get"),
            "placements": Command("placement.get"),
        },
        token=token,
    )
    bind = {"PLACEMENT": "CALENDAR_GRIDVIEW", "HANDLER": "http://127.0.0.1:8000/", "TITLE": "Hours of Boris"}
    client.batch({"bind": Command("placement.bind", bind)}, token=anna)
    for method in ("profile", "user.current", "calendar.user.settings.get", "placement.get"):
        client.call(method, token=anna)
    client.call("calendar.section.get", {"type": "user", "ownerId": 7}, token=token)
    client.call("user.get", {"filter": {"NAME_SEARCH": "Boris"}}, token=token)
    servers.app_info(servers.allowed[0], SecretStr(token))
    refresh(servers, opening.refresh_token)
    with pytest.raises(TokenRejected):
        client.call("profile", token=token)


def test_what_is_remembered_identifies_and_opens_nothing(
    client: Client,
    servers: AuthorizationServers,
    alpha: Portal,
    bitrix24: Emulator,
    remembered: list[Call],
) -> None:
    alpha.application.scopes.append("user")
    opening = alpha.open_as("boris")

    everything(client, servers, opening, alpha)

    told = "\n".join(json.dumps(asdict(call), default=str, ensure_ascii=False) for call in remembered)
    people = alpha.people.values()
    names = {part for person in people for part in (person.name, person.last_name)} - {""}
    hidden = {
        bitrix24.client_secret,
        alpha.member_id,
        alpha.application_token,
        opening.refresh_token,
        *(token for token in tokens_of(alpha)),
        *names,
        *(person.email for person in people),
        *(section.name for person in people for section in person.sections),
    }
    assert len(remembered) == len(bitrix24.requests)
    assert [secret for secret in hidden if secret in told] == []


def tokens_of(portal: Portal) -> set[str]:
    """Return every token the portal's people ever had."""
    pairs = list(portal.world.tokens.of(portal.member_id))
    return {pair.access for pair in pairs} | {pair.refresh for pair in pairs}


def test_what_is_remembered_still_explains_a_call(
    client: Client, alpha: Portal, remembered: list[Call]
) -> None:
    client.call("calendar.user.settings.get", {"filter": {"ACTIVE": True}}, token=token_of(alpha))

    (call,) = remembered
    assert (call.origin, call.method, call.status, call.error) == (
        alpha.origin,
        "calendar.user.settings.get",
        200,
        None,
    )
    assert call.parameters == {"filter": {"ACTIVE": True}, "auth": HIDDEN}
    assert isinstance(call.answer, dict)
    settings = call.answer["result"]
    assert isinstance(settings, dict)
    assert set(settings) == set(alpha.people["boris"].settings)
    assert (settings["view"], settings["timezoneName"], settings["work_time_start"]) == (
        "month",
        "Europe/Berlin",
        "9.00",
    )
    assert call.sent > 50
    assert call.received > 500


def test_a_failed_call_is_remembered_too(
    client: Client, alpha: Portal, bitrix24: Emulator, remembered: list[Call]
) -> None:
    token = token_of(alpha)
    for kind in ("error:ACCESS_DENIED:403", "reset", "html:502"):
        bitrix24.faults.add(Fault(kind))
        with pytest.raises(Bitrix24Error):
            client.call("profile", token=token)

    assert [(call.status, call.error) for call in remembered] == [
        (403, "ACCESS_DENIED"),
        (None, "unreachable"),
        (502, "http_502"),
    ]


def test_a_portal_cannot_smuggle_a_secret_in_as_an_error(
    client: Client, alpha: Portal, bitrix24: Emulator, remembered: list[Call]
) -> None:
    token = token_of(alpha)
    answered(bitrix24, lambda _: {"error": token, "error_description": f"Boris Keller {token}"})

    with pytest.raises(CallRejected) as caught:
        client.call("profile", token=token)

    assert token not in f"{caught.value} {caught.value!r} {remembered}"


@given(value=JSON, key=st.sampled_from(sorted(SPOKEN)) | st.text(max_size=8))
def test_masking_keeps_the_shape_and_hides_the_text(value: Json, key: str) -> None:
    secret, address = "2b1d6966007e9c94001e30ba00000007f0f107aa", "anna@mail.example"

    hidden = masked({key: [secret, f"Bearer {secret}", address, value], secret: value})

    told = json.dumps(hidden, ensure_ascii=False)
    assert secret not in told
    assert address not in told


@pytest.mark.parametrize("value", [0, -1, 2.5, True, False, None, "", [], {}])
def test_masking_leaves_what_is_no_text(value: Json) -> None:
    assert masked({"NAME": [value]}) == {"NAME": [value]}


def test_only_words_that_were_chosen_are_spoken() -> None:
    told = masked({"view": "week", "NAME": "Anna", "title": "Anna", "PERSONAL_PHOTO": "https://x/anna.jpg"})

    assert told == {"view": "week", "NAME": HIDDEN, "title": HIDDEN, "PERSONAL_PHOTO": HIDDEN}
