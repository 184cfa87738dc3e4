"""The record of a call explains it, without secrets or personal data."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from dashboard.bitrix24.client import Client, Command
from dashboard.bitrix24.errors import (
    Bitrix24Error,
    CallRejected,
    TokenRejected,
)
from dashboard.bitrix24.masking import MASK, MAX_RECORDED_BYTES, READABLE_FIELDS, CallRecord, mask, record_nothing
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.core.json_values import Json
from tests.emulator import Emulator, Fault, Opening, Portal
from tests.rest_fixtures import (
    JSON,
    alpha,
    change_next,
    client,
    records,
    refresh,
    rest,
    servers,
    token_of,
)

__all__ = ["alpha", "client", "records", "rest", "servers"]


def call_everything(client: Client, servers: AuthorizationServers, opening: Opening, portal: Portal) -> None:
    """Call every method that the application uses, and more, as one person."""
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
    servers.app_info(servers.allowed[0], SecretStr(token), record_call=record_nothing)
    refresh(servers, opening.refresh_token)
    with pytest.raises(TokenRejected):
        client.call("profile", token=token)


def test_records_contain_no_secrets_or_personal_data(
    client: Client,
    servers: AuthorizationServers,
    alpha: Portal,
    bitrix24: Emulator,
    records: list[CallRecord],
) -> None:
    alpha.application.scopes.append("user")
    opening = alpha.open_as("boris")

    call_everything(client, servers, opening, alpha)

    text = "\n".join(json.dumps(asdict(call), default=str, ensure_ascii=False) for call in records)
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
    assert len(records) == len(bitrix24.requests)
    assert [secret for secret in hidden if secret in text] == []


def tokens_of(portal: Portal) -> set[str]:
    """Return every token that was issued to the portal's people."""
    pairs = list(portal.world.tokens.of(portal.member_id))
    return {pair.access for pair in pairs} | {pair.refresh for pair in pairs}


def test_a_record_explains_a_call(client: Client, alpha: Portal, records: list[CallRecord]) -> None:
    client.call("calendar.user.settings.get", {"filter": {"ACTIVE": True}}, token=token_of(alpha))

    (call,) = records
    assert (call.origin, call.method, call.status, call.error) == (
        alpha.origin,
        "calendar.user.settings.get",
        200,
        None,
    )
    assert call.parameters == {"filter": {"ACTIVE": True}, "auth": MASK}
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


def test_a_failed_call_is_recorded(
    client: Client, alpha: Portal, bitrix24: Emulator, records: list[CallRecord]
) -> None:
    token = token_of(alpha)
    for kind in ("error:ACCESS_DENIED:403", "reset", "html:502"):
        bitrix24.faults.add(Fault(kind))
        with pytest.raises(Bitrix24Error):
            client.call("profile", token=token)

    assert [(call.status, call.error) for call in records] == [
        (403, "ACCESS_DENIED"),
        (None, "unreachable"),
        (502, "http_502"),
    ]


def test_a_secret_sent_as_error_code_is_masked(
    client: Client, alpha: Portal, bitrix24: Emulator, records: list[CallRecord]
) -> None:
    token = token_of(alpha)
    change_next(bitrix24, lambda _: {"error": token, "error_description": f"Boris Keller {token}"})

    with pytest.raises(CallRejected) as caught:
        client.call("profile", token=token)

    assert token not in f"{caught.value} {caught.value!r} {records}"


@given(value=JSON, key=st.sampled_from(sorted(READABLE_FIELDS)) | st.text(max_size=8))
def test_masking_keeps_the_shape_and_hides_the_text(value: Json, key: str) -> None:
    secret, address = "2b1d6966007e9c94001e30ba00000007f0f107aa", "anna@mail.example"

    masked = mask({key: [secret, f"Bearer {secret}", address, value], secret: value})

    text = json.dumps(masked, ensure_ascii=False)
    assert secret not in text
    assert address not in text


def test_masking_takes_linear_time() -> None:
    """A self-hosted portal can send any text; one response once took seconds."""
    began = time.process_time()

    mask({"view": "!" * MAX_RECORDED_BYTES, "!" * MAX_RECORDED_BYTES: 1})

    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("value", [0, -1, 2.5, True, False, None, "", [], {}])
def test_masking_keeps_values_that_are_no_text(value: Json) -> None:
    assert mask({"NAME": [value]}) == {"NAME": [value]}


def test_only_texts_of_readable_fields_are_kept() -> None:
    masked = mask({"view": "week", "NAME": "Anna", "title": "Anna", "PERSONAL_PHOTO": "https://x/anna.jpg"})

    assert masked == {"view": "week", "NAME": MASK, "title": MASK, "PERSONAL_PHOTO": MASK}
