"""Fixtures for tests of the Bitrix24 client: the client and the emulator without the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import SecretStr

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.client import Client
from dashboard.bitrix24.connections import Timeouts
from dashboard.bitrix24.errors import Bitrix24Error
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import CallRecord, record_nothing
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import OAuthAppInfo, TokenResponse
from dashboard.bitrix24.transport import Transport
from dashboard.core.json_values import Json
from tests.emulator import Emulator, Fault, Portal

ErrorClass = type[Bitrix24Error]
Change = Callable[[dict[str, Any]], dict[str, Any]]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EMPTY: list[Json] = []  # how PHP sends an empty map


class ManualClock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock."""
    return ManualClock()


@pytest.fixture
def records() -> list[CallRecord]:
    """Give the list that receives the record of every call."""
    return []


@pytest.fixture
def rest(records: list[CallRecord]) -> RestHttp:
    """Give the sender of all calls to the emulator."""
    timeouts = Timeouts(connect=5, read=10, total=20)
    return RestHttp(Transport(AddressPolicy(loopback=True), timeouts=timeouts), records.append)


@pytest.fixture
def alpha(bitrix24: Emulator) -> Portal:
    """Give the portal Alpha with the application installed."""
    portal = bitrix24.portal("alpha")
    portal.install()
    return portal


@pytest.fixture
def client(rest: RestHttp, alpha: Portal) -> Client:
    """Give the client for Alpha."""
    return Client(rest, alpha.origin, record_nothing)


@pytest.fixture
def servers(rest: RestHttp, bitrix24: Emulator) -> AuthorizationServers:
    """Give the emulated authorization server."""
    return servers_of(bitrix24, rest)


def servers_of(
    bitrix24: Emulator, rest: RestHttp, *, client_id: str = "", client_secret: str = ""
) -> AuthorizationServers:
    return AuthorizationServers(
        rest,
        allowed=(bitrix24.authorization_server,),
        client_id=client_id or bitrix24.client_id,
        client_secret=SecretStr(client_secret or bitrix24.client_secret),
    )


def token_of(portal: Portal, person: str = "boris") -> str:
    return portal.open_as(person).access_token


def change_next(bitrix24: Emulator, change: Change, *, where: str = "portal") -> None:
    """Change the next response."""
    bitrix24.faults.add(Fault("answer", where=where, change=change))


def refresh(servers: AuthorizationServers, token: str) -> TokenResponse:
    return servers.refresh(servers.allowed[0], SecretStr(token), record_call=record_nothing)


def app_info(servers: AuthorizationServers, token: str) -> OAuthAppInfo:
    return servers.app_info(servers.allowed[0], SecretStr(token), record_call=record_nothing)
