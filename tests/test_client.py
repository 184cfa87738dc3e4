"""Calls and batches, against the emulator."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dashboard.bitrix24.client import BatchResult, Client, Command
from dashboard.bitrix24.errors import (
    ApplicationUnknown,
    Bitrix24Error,
    CallRejected,
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
from dashboard.bitrix24.schemas import parse_profile
from dashboard.core.json_values import Json
from tests.emulator import Emulator, Fault, Portal
from tests.rest_fixtures import (
    EMPTY,
    ErrorClass,
    alpha,
    change_next,
    client,
    records,
    rest,
    servers,
    token_of,
)

__all__ = ["alpha", "client", "records", "rest", "servers"]


# A call


def test_a_method_is_called(client: Client, alpha: Portal) -> None:
    settings = client.call("calendar.user.settings.get", token=token_of(alpha))

    assert settings == alpha.people["boris"].settings


def test_parameters_arrive_unchanged(client: Client, alpha: Portal) -> None:
    token = token_of(alpha)

    client.call("user.option.set", {"options": {"note": "Ы & 'b' <i>", "n": [1, None]}}, token=token)

    assert alpha.people["boris"].options["note"] == "Ы & 'b' <i>"


def test_the_token_is_only_in_the_body(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    client.call("profile", {"auth": "somebody else's"}, token=token_of(alpha))
    client.batch({"me": Command("profile")}, token=token_of(alpha))

    assert [(request.verb, request.status, request.person) for request in bitrix24.requests] == [
        ("POST", 200, "boris")
    ] * 2
    assert not any(request.token_in_url or request.had_cookie for request in bitrix24.requests)


def test_null_is_a_result(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    change_next(bitrix24, lambda body: body | {"result": None})

    assert client.call("profile", token=token_of(alpha)) is None


def test_a_response_without_result_is_unreadable(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    change_next(bitrix24, lambda body: {"time": body["time"]})

    with pytest.raises(Unreadable):
        client.call("profile", token=token_of(alpha))


@pytest.mark.parametrize(
    ("change", "error_class"),
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
def test_each_state_of_a_portal_has_its_error(
    client: Client, alpha: Portal, change: Callable[[Portal], object], error_class: ErrorClass
) -> None:
    token = token_of(alpha)
    change(alpha)

    with pytest.raises(Bitrix24Error) as caught:
        client.call("calendar.user.settings.get", token=token)

    assert type(caught.value) is error_class


def test_a_token_of_another_portal_is_refused(client: Client, bitrix24: Emulator) -> None:
    beta = bitrix24.portal("beta")
    beta.install()

    with pytest.raises(TokenRejected):
        client.call("profile", token=token_of(beta, "clara"))


def test_a_missing_method_has_its_error(client: Client, alpha: Portal) -> None:
    with pytest.raises(MethodMissing):
        client.call("no.such.method", token=token_of(alpha))


@pytest.mark.parametrize(
    ("kind", "error_class"),
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
def test_a_failed_call_has_its_error_and_is_not_retried(
    client: Client, alpha: Portal, bitrix24: Emulator, kind: str, error_class: ErrorClass
) -> None:
    bitrix24.faults.add(Fault(kind))

    with pytest.raises(error_class):
        client.call("profile", token=token_of(alpha))

    assert bitrix24.count(method="profile") == 1


# A batch


def test_a_batch_returns_results_by_key_in_one_request(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    commands = {"me": Command("profile"), "mine": Command("calendar.user.settings.get")}

    batch = client.batch(commands, token=token_of(alpha))

    assert parse_profile(batch["me"]).ID == 7
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

    assert parse_profile(batch["me"]).NAME == "Boris"
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


def test_parameters_of_a_command_arrive_unchanged(client: Client, alpha: Portal) -> None:
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


def test_results_sent_as_a_list_are_found_by_key(client: Client, alpha: Portal) -> None:
    """PHP sends the keys 0, 1, … as a list, but not with a gap."""
    profile, missing = Command("profile"), Command("no.such")

    whole = client.batch({"0": profile, "1": Command("user.admin")}, token=token_of(alpha))
    gap = client.batch({"0": missing, "1": profile}, token=token_of(alpha))

    assert (parse_profile(whole["0"]).ID, whole["1"]) == (7, False)
    assert parse_profile(gap["1"]).ID == 7
    assert isinstance(gap.errors["0"], MethodMissing)


def test_empty_parts_come_as_lists(client: Client, alpha: Portal, bitrix24: Emulator) -> None:
    change_next(bitrix24, lambda body: body | {"result": dict.fromkeys(body["result"], EMPTY)})

    batch = client.batch({"me": Command("profile")}, token=token_of(alpha))

    assert (dict(batch.results), dict(batch.errors)) == ({}, {})
    with pytest.raises(Unreadable, match="command_not_answered"):
        batch["me"]


@pytest.mark.parametrize(
    ("parts", "error_class"),
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
def test_odd_shapes_of_a_batch_are_errors_by_key(
    client: Client, alpha: Portal, bitrix24: Emulator, parts: Json, error_class: ErrorClass
) -> None:
    change_next(bitrix24, lambda body: body | {"result": parts})

    batch = client.batch({"me": Command("profile")}, token=token_of(alpha))

    with pytest.raises(error_class):
        batch["me"]


@pytest.mark.parametrize("result", [[], None, "text", 5, True])
def test_a_batch_result_that_is_no_map_is_unreadable(
    client: Client, alpha: Portal, bitrix24: Emulator, result: Json
) -> None:
    change_next(bitrix24, lambda body: body | {"result": result})

    with pytest.raises(Unreadable):
        client.batch({"me": Command("profile")}, token=token_of(alpha))


def test_an_error_is_raised_at_each_access() -> None:
    batch = BatchResult(results={}, errors={"me": ScopeMissing("insufficient_scope")})

    for _ in range(2):
        with pytest.raises(ScopeMissing):
            batch["me"]
