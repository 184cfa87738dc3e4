"""The official b24pysdk drives the emulator's REST and its authorization server."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import requests.adapters
from b24pysdk import Client, errors
from b24pysdk.credentials import BitrixApp, BitrixToken
from b24pysdk.errors import oauth as oauth_errors

from tests.emulator import Emulator, Fault, Portal, crowd
from tests.emulator.departments import Department
from tests.emulator_fixtures import bitrix24, stand_in

__all__ = ["bitrix24", "stand_in"]

SDK_OAUTH_ORIGIN = "https://oauth.bitrix24.tech"


@pytest.fixture(autouse=True)
def loopback(bitrix24: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring the SDK's requests to the emulator.

    The SDK has its authorization server's address and https written into it, and makes a session
    of `requests` for each call, so there is none to mount an adapter on. Hence the adapter that
    every session mounts is replaced: it changes the address just before the bytes leave, and
    everything of the SDK itself stays as shipped.
    """

    class LoopbackAdapter(requests.adapters.HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            url = str(request.url).replace(SDK_OAUTH_ORIGIN, bitrix24.authorization_server)
            request.url = url.replace("https://localhost:", "http://localhost:")
            return super().send(request, *args, **kwargs)

    monkeypatch.setattr(requests.sessions, "HTTPAdapter", LoopbackAdapter)


@pytest.fixture
def alpha(bitrix24: Emulator) -> Iterator[Portal]:
    portal = bitrix24.portal("alpha")
    portal.install()
    yield portal


def token_of(bitrix24: Emulator, portal: Portal, key: str, *, secret: str | None = None) -> BitrixToken:
    opening = portal.open_as(key)
    app = BitrixApp(client_id=bitrix24.client_id, client_secret=secret or bitrix24.client_secret)
    return BitrixToken(
        domain=portal.domain,
        auth_token=opening.access_token,
        refresh_token=opening.refresh_token,
        bitrix_app=app,
    )


def test_it_calls_a_method(bitrix24: Emulator, alpha: Portal) -> None:
    answer = token_of(bitrix24, alpha, "boris").call_method("calendar.user.settings.get")

    assert answer["result"] == alpha.people["boris"].settings
    assert isinstance(answer["time"]["start"], int)


def test_every_person_reads_their_own_settings(bitrix24: Emulator, alpha: Portal) -> None:
    for key, person in alpha.people.items():
        if person.active and not person.broken:
            answer = token_of(bitrix24, alpha, key).call_method("calendar.user.settings.get")
            assert answer["result"] == person.settings, key


def test_broken_settings_are_an_error(bitrix24: Emulator, alpha: Portal) -> None:
    with pytest.raises(errors.BitrixAPIBadRequest) as caught:
        token_of(bitrix24, alpha, "petra").call_method("calendar.user.settings.get")

    assert caught.value.json_response["error"] == "ERROR_ARGUMENT"


def test_a_failing_command_leaves_the_batch_whole(bitrix24: Emulator, alpha: Portal) -> None:
    alpha.drop_scope("calendar")
    commands: dict[str, tuple[str, dict[str, Any]]]
    commands = {"me": ("profile", {}), "mine": ("calendar.user.settings.get", {}), "no": ("no.such", {})}

    answer = token_of(bitrix24, alpha, "boris").call_batch(commands)["result"]

    assert answer["result"]["me"]["ID"] == "7"
    assert answer["result_error"]["mine"] == {"error": "insufficient_scope", "error_description": ""}
    assert answer["result_error"]["no"]["error"] == "ERROR_METHOD_NOT_FOUND"
    assert answer["result_next"] == []


def test_a_command_uses_an_earlier_result(bitrix24: Emulator, alpha: Portal) -> None:
    token = alpha.open_as("boris").access_token
    commands = {"me": "profile", "mine": "calendar.section.get?type=user&ownerId=$result[me][ID]"}

    answer = alpha.ask("batch", token, cmd=commands)

    assert answer["result"]["result"]["mine"][1]["NAME"] == "Ops & on-call"


def test_the_sdk_renews_an_expired_token_and_goes_on(bitrix24: Emulator, alpha: Portal) -> None:
    token = token_of(bitrix24, alpha, "boris")
    alpha.expire("boris")

    answer = token.call_method("profile")

    assert answer["result"]["ID"] == "7"
    assert bitrix24.refreshes("boris") == 1
    # The SDK sends the secret in the address; the emulator takes note.
    assert bitrix24.secrets_in_urls == 1


def test_app_info_names_the_portal_and_the_person(bitrix24: Emulator, alpha: Portal) -> None:
    info = token_of(bitrix24, alpha, "boris").get_app_info().result

    assert info.client_id == bitrix24.client_id
    assert info.install.member_id == alpha.member_id
    assert info.user_id == 7


def test_lists_come_fifty_a_page(bitrix24: Emulator, alpha: Portal) -> None:
    alpha.add_people(*crowd(120))

    answer = token_of(bitrix24, alpha, "anna").call_list("user.get", {"FILTER": {"ACTIVE": True}})

    assert len(answer["result"]) == 120 + 13
    assert len({person["ID"] for person in answer["result"]}) == 120 + 13


def test_departments_are_what_the_sdk_expects(bitrix24: Emulator, alpha: Portal) -> None:
    alpha.grant_scope("department")
    alpha.departments += [Department(number, f"Team {number}", parent=1) for number in range(10, 110)]
    token = token_of(bitrix24, alpha, "boris")
    departments = Client(token).department

    rows = token.call_list("department.get", {"sort": "ID"})["result"]
    engineering, sales = departments.get(bitrix_id=[2, 4], sort="ID").values

    assert [row["ID"] for row in rows] == [str(one.id) for one in alpha.departments]
    assert rows[0] == {"ID": "1", "NAME": "Alpha", "SORT": 500, "UF_HEAD": "1"}
    assert (engineering.bitrix_id, engineering.name, engineering.sort) == (2, "Engineering", 100)
    assert (sales.parent_id, sales.uf_head_id) == (1, 9)
    assert [row["NAME"] for row in departments.get(parent=2).result] == ["Platform <b>"]
    assert [row["NAME"] for row in departments.get(uf_head=7).result] == ["Engineering"]


def test_departments_need_their_permission(bitrix24: Emulator, alpha: Portal) -> None:
    with pytest.raises(errors.BitrixAPIInsufficientScope):
        token_of(bitrix24, alpha, "boris").call_method("department.get")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("QUERY_LIMIT_EXCEEDED", errors.BitrixAPIQueryLimitExceeded),
        ("OPERATION_TIME_LIMIT", errors.BitrixAPIOperationTimeLimit),
        ("PAYMENT_REQUIRED", errors.BitrixAPIPaymentRequired),
        ("APPLICATION_NOT_FOUND", errors.BitrixAPIApplicationNotFound),
    ],
)
def test_each_simulated_fault_raises_its_error(
    bitrix24: Emulator, alpha: Portal, code: str, kind: type[Exception]
) -> None:
    token = token_of(bitrix24, alpha, "boris")
    bitrix24.faults.add(Fault(f"error:{code}", method="profile"))

    with pytest.raises(kind):
        token.call_method("profile", max_retries=1)

    assert token.call_method("profile")["result"]["ID"] == "7"


def test_a_missing_scope_is_refused(bitrix24: Emulator, alpha: Portal) -> None:
    alpha.drop_scope("calendar")

    with pytest.raises(errors.BitrixAPIInsufficientScope):
        token_of(bitrix24, alpha, "boris").call_method("calendar.user.settings.get")


def test_an_unknown_method_is_refused_before_the_token_is_looked_at(bitrix24: Emulator, alpha: Portal) -> None:
    assert alpha.ask("no.such.method", "garbage")["error"] == "ERROR_METHOD_NOT_FOUND"
    with pytest.raises(errors.BitrixAPINotFound):
        token_of(bitrix24, alpha, "boris").call_method("no.such.method")


def test_a_dead_refresh_token_is_an_invalid_grant(bitrix24: Emulator, alpha: Portal) -> None:
    token = token_of(bitrix24, alpha, "boris")
    alpha.expire("boris")
    alpha.kill_refresh("boris")

    with pytest.raises(oauth_errors.BitrixOAuthInvalidGrant):
        token.call_method("profile")


def test_an_unknown_client_is_refused_with_status_200(bitrix24: Emulator, alpha: Portal) -> None:
    token = token_of(bitrix24, alpha, "boris")
    token.bitrix_app = BitrixApp(client_id="app.unknown.0", client_secret="x")

    with pytest.raises(oauth_errors.BitrixOauthWrongClient) as caught:
        token.refresh_oauth_token()

    assert caught.value.response.status_code == 200


def test_a_wrong_secret_is_an_invalid_client(bitrix24: Emulator, alpha: Portal) -> None:
    with pytest.raises(oauth_errors.BitrixOAuthInvalidClient):
        token_of(bitrix24, alpha, "boris", secret="wrong").refresh_oauth_token()
