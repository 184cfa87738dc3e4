"""Response models accept odd but valid values and refuse senseless ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.bitrix24.errors import (
    PersonDismissed,
    Unreadable,
)
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import AppInfo, OAuthAppInfo, Profile, TokenResponse, parse_as, parse_profile
from dashboard.bitrix24.users import Employee
from dashboard.core.json_values import Json
from tests.emulator import Emulator, Portal
from tests.rest_fixtures import (
    JSON,
    ErrorClass,
    alpha,
    change_next,
    client,
    records,
    refresh,
    rest,
    servers,
)

__all__ = ["alpha", "client", "records", "rest", "servers"]


# Token responses. The old pair is already invalid, so no odd value beside it costs the new one.


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


@pytest.mark.parametrize(("name", "odd", "attribute", "expected"), ODD_PAIRS)
def test_an_odd_token_response_is_accepted(name: str, odd: Json, attribute: str, expected: object) -> None:
    answer: dict[str, Json] = {"access_token": "a" * 70, "refresh_token": "b" * 70, "expires_in": 3600}

    pair = parse_as(TokenResponse, answer | {name: odd})

    assert pair.access_token.get_secret_value() == "a" * 70
    assert getattr(pair, attribute) == expected


def test_a_token_response_needs_only_its_access_token(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator
) -> None:
    change_next(bitrix24, lambda body: {"access_token": body["access_token"]}, where="authorization")

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
def test_a_token_response_without_access_token_is_unreadable(
    servers: AuthorizationServers, alpha: Portal, bitrix24: Emulator, token: Json
) -> None:
    change_next(bitrix24, lambda body: body | {"access_token": token}, where="authorization")

    with pytest.raises(Unreadable):
        refresh(servers, alpha.open_as("boris").refresh_token)


@pytest.mark.parametrize(
    ("profile", "error_class"),
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
def test_a_profile_without_user_is_refused(profile: Json, error_class: ErrorClass) -> None:
    with pytest.raises(error_class):
        parse_profile(profile)


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
def test_an_odd_profile_is_accepted(odd: Json, name: str) -> None:
    profile = parse_profile(odd)

    assert (profile.ID, profile.full_name, profile.ADMIN) == (7, name, False)


@pytest.mark.parametrize("odd", [True, 1, "Y", "y", "1", "true"])
def test_an_administrator_is_recognized_in_every_format(odd: Json) -> None:
    assert parse_profile({"ID": "1", "ADMIN": odd}).ADMIN


@pytest.mark.parametrize("odd", [False, 0, "N", "0", "", "false", None, [], {}, ["Y"], "yes please", 2])
def test_an_odd_value_makes_nobody_an_administrator(odd: Json) -> None:
    assert not parse_profile({"ID": "7", "ADMIN": odd}).ADMIN


MODELS = (AppInfo, Profile, OAuthAppInfo, TokenResponse, Employee)


@given(model=st.sampled_from(MODELS), data=st.data())
def test_any_response_is_parsed_or_unreadable(model: Any, data: st.DataObject) -> None:
    fields = {field.validation_alias or name: JSON for name, field in model.model_fields.items()}
    value = data.draw(JSON | st.fixed_dictionaries({}, optional=fields))

    try:
        response = parse_as(model, value)
    except Unreadable:
        return

    for text in response.model_dump().values():
        assert not isinstance(text, str) or (len(text) <= 2048 and "\0" not in text)


@given(pair=st.fixed_dictionaries({"access_token": st.just("a-token-nobody-sees"), "expires_in": JSON}))
def test_any_lifetime_of_a_token_is_bounded(pair: Json) -> None:
    assert 0 < parse_as(TokenResponse, pair).expires_in <= 30 * 86400


def test_an_unreadable_response_does_not_leak_its_token() -> None:
    answer: Json = {"access_token": ["a-token-nobody-sees"], "refresh_token": "another-token-nobody-sees"}

    with pytest.raises(Unreadable) as caught:
        parse_as(TokenResponse, answer)

    error: BaseException | None = caught.value
    while error is not None:
        assert "nobody-sees" not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__
