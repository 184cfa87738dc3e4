"""Refresh and verify tokens at the authorization server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from dashboard.bitrix24.client import Client
from dashboard.bitrix24.errors import (
    ApplicationGone,
    Bitrix24Error,
    GrantRejected,
    KeysRejected,
    PaymentRequired,
    PortalMoved,
    QueryLimit,
    ScopeMissing,
    ServerFailed,
    TokenRejected,
    Unreachable,
    Unreadable,
)
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import record_nothing
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import OAuthAppInfo, parse_as, parse_profile
from dashboard.bitrix24.transport import RawResponse, Transport
from dashboard.core.json_values import Json
from tests.emulator import OTHER_CLIENT_ID, Emulator, Fault, Portal
from tests.rest_fixtures import (
    ErrorClass,
    alpha,
    app_info,
    change_next,
    client,
    records,
    refresh,
    rest,
    servers,
    servers_of,
    token_of,
)

__all__ = ["alpha", "client", "records", "rest", "servers"]


# Refreshing


def test_a_refresh_returns_a_new_pair(servers: AuthorizationServers, alpha: Portal, client: Client) -> None:
    opening = alpha.open_as("boris")

    pair = refresh(servers, opening.refresh_token)

    assert pair.access_token.get_secret_value() != opening.access_token
    assert (pair.expires_in, pair.member_id, pair.user_id) == (3600, alpha.member_id, 7)
    # The answer's `domain` is the authorization server's; the portal's address is its `client_endpoint`.
    assert pair.origin == alpha.origin
    profile = client.call("profile", token=pair.access_token.get_secret_value())
    assert parse_profile(profile).ID == 7


def test_a_refresh_token_works_once(servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator) -> None:
    opening = alpha.open_as("boris")
    pair = refresh(servers, opening.refresh_token)

    with pytest.raises(GrantRejected):
        refresh(servers, opening.refresh_token)

    assert pair.refresh_token is not None
    assert refresh(servers, pair.refresh_token.get_secret_value()).user_id == 7
    assert bitrix24.refreshes("boris") == 2


def test_no_secret_is_in_a_url(servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator) -> None:
    opening = alpha.open_as("boris")

    servers.app_info(servers.allowed[0], SecretStr(opening.access_token), record_call=record_nothing)
    refresh(servers, opening.refresh_token)

    assert [(values.verb, values.method) for values in bitrix24.requests] == [
        ("POST", "rest/app.info"),
        ("POST", "oauth/token"),
    ]
    assert bitrix24.secrets_in_urls == 0
    assert not any(values.token_in_url for values in bitrix24.requests)


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
        servers.refresh(server, SecretStr(opening.refresh_token), record_call=record_nothing)
    with pytest.raises(ValueError, match="not an allowed authorization server"):
        servers.app_info(server, SecretStr(opening.access_token), record_call=record_nothing)

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
def test_only_an_allowed_server_is_chosen(rest: RestHttp, endpoint: str | None, chosen: str) -> None:
    allowed = ("https://oauth.bitrix.info", "https://oauth.bitrix24.tech")
    servers = AuthorizationServers(rest, allowed, "app.test.1", SecretStr("x"))

    assert servers.choose(endpoint) == chosen


def test_a_wrong_client_is_refused_with_http_200(rest: RestHttp, alpha: Portal, bitrix24: Emulator) -> None:
    strangers = servers_of(bitrix24, rest, client_id="app.nobody")

    with pytest.raises(KeysRejected) as caught:
        refresh(strangers, alpha.open_as("boris").refresh_token)

    assert caught.value.code == "wrong_client"


def test_a_wrong_secret_is_refused(rest: RestHttp, alpha: Portal, bitrix24: Emulator) -> None:
    with pytest.raises(KeysRejected):
        refresh(servers_of(bitrix24, rest, client_secret="wrong"), alpha.open_as("boris").refresh_token)


@pytest.mark.parametrize(
    ("happening", "error_class"),
    [
        (lambda alpha: alpha.kill_refresh("boris"), GrantRejected),
        (lambda alpha: alpha.uninstall(), ApplicationGone),
        (lambda alpha: alpha.end_trial(), PaymentRequired),
        (lambda alpha: alpha.world.clock.advance(181 * 86400), GrantRejected),
    ],
    ids=["void", "removed", "unpaid", "too old"],
)
def test_each_refused_refresh_has_its_error(
    servers: AuthorizationServers, alpha: Portal, happening: Callable[[Portal], object], error_class: ErrorClass
) -> None:
    token = alpha.open_as("boris").refresh_token
    happening(alpha)

    with pytest.raises(Bitrix24Error) as caught:
        refresh(servers, token)

    assert type(caught.value) is error_class


@pytest.mark.parametrize(
    ("kind", "error_class"),
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
def test_a_failed_refresh_is_not_retried(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator, kind: str, error_class: ErrorClass
) -> None:
    bitrix24.faults.add(Fault(kind, where="authorization"))

    with pytest.raises(Bitrix24Error) as caught:
        refresh(servers, alpha.open_as("boris").refresh_token)

    assert type(caught.value) is error_class
    assert len(bitrix24.requests) == 1


# Whose token it is


def test_app_info_names_the_owner_of_a_token(servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator) -> None:
    proof = app_info(servers, token_of(alpha))

    assert (proof.client_id, proof.member_id) == (bitrix24.client_id, alpha.member_id)
    assert (proof.origin, proof.user_id) == (alpha.origin, 7)


def test_app_info_names_another_application(servers: AuthorizationServers, alpha: Portal) -> None:
    foreign = alpha.open_as("boris", client_id=OTHER_CLIENT_ID)

    assert app_info(servers, foreign.access_token).client_id == OTHER_CLIENT_ID


@pytest.mark.parametrize(
    ("happening", "error_class"),
    [
        (lambda alpha: alpha.expire("boris"), TokenRejected),
        (lambda alpha: alpha.uninstall(), ApplicationGone),
    ],
    ids=["an hour later", "removed"],
)
def test_a_token_that_proves_nothing_is_rejected(
    servers: AuthorizationServers, alpha: Portal, happening: Callable[[Portal], object], error_class: ErrorClass
) -> None:
    token = token_of(alpha)
    happening(alpha)

    with pytest.raises(error_class):
        app_info(servers, token)


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
def test_an_odd_app_info_is_accepted(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator, change: Json, origin: str | None
) -> None:
    def changed(body: dict[str, Any]) -> dict[str, Any]:
        install = body["result"]["install"] | change
        return body | {"result": body["result"] | {"install": install, "user_id": "0"}}

    change_next(bitrix24, changed, where="authorization")

    proof = app_info(servers, token_of(alpha))

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
def test_an_incomplete_app_info_is_unreadable(install: Json) -> None:
    with pytest.raises(Unreadable):
        parse_as(OAuthAppInfo, {"client_id": "app.test.1", "install": install})


@pytest.mark.parametrize(
    "date", [None, "", "soon", "Mon, 1 Jan 2026 10:00:00 +99999999999999", "1 Jan 99999999999 1:1 GMT"]
)
def test_a_malformed_date_is_no_time(
    monkeypatch: pytest.MonkeyPatch, servers: AuthorizationServers, date: str | None
) -> None:
    monkeypatch.setattr(Transport, "post", lambda *args, **kwargs: RawResponse(401, b"{}", date))

    assert servers.server_time(servers.allowed[0]) is None
