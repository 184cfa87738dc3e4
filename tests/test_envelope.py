"""Responses: an error is found by its code, in any place and case, with any HTTP status."""

from __future__ import annotations

import json
import math
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.bitrix24 import envelope
from dashboard.bitrix24.errors import (
    AUTHORIZATION_CODES,
    PORTAL_CODES,
    AccessDenied,
    ApplicationGone,
    ApplicationUnknown,
    Bitrix24Error,
    CallRejected,
    Codes,
    CredentialsRefused,
    GrantRejected,
    KeysRejected,
    Limited,
    MethodMissing,
    MethodPaused,
    NotAnswered,
    Overloaded,
    PaymentRequired,
    PersonDismissed,
    PersonNotAllowed,
    PortalClosed,
    PortalMoved,
    QueryLimit,
    ScopeMissing,
    ServerFailed,
    TokenRejected,
    Unreadable,
)
from dashboard.bitrix24.transport import DEFAULT_LIMIT, RawResponse
from dashboard.core.json_values import Json
from tests.rest_fixtures import JSON, ErrorClass

# Code, error class, and the statuses that documentation, source and official clients give it.
PORTAL: list[tuple[str, ErrorClass, tuple[int, ...]]] = [
    ("expired_token", TokenRejected, (401,)),
    ("invalid_token", TokenRejected, (401,)),
    ("NO_AUTH_FOUND", CredentialsRefused, (401,)),
    ("authorization_error", PersonDismissed, (401,)),
    ("APPLICATION_NOT_FOUND", ApplicationUnknown, (401,)),
    ("ERROR_OAUTH", ApplicationUnknown, (401,)),
    ("PAYMENT_REQUIRED", PaymentRequired, (401,)),
    ("METHOD_CONFIRM_WAITING", AccessDenied, (401,)),
    ("METHOD_CONFIRM_DENIED", AccessDenied, (403,)),
    ("insufficient_scope", ScopeMissing, (401, 403)),
    ("INVALID_CREDENTIALS", CredentialsRefused, (401, 403)),
    ("user_access_error", PersonNotAllowed, (401, 403)),
    ("ACCESS_DENIED", AccessDenied, (400, 401, 403)),
    ("WRONG_AUTH_TYPE", CallRejected, (403,)),
    ("allowed_only_intranet_user", PersonNotAllowed, (403,)),
    ("ERROR_METHOD_NOT_FOUND", MethodMissing, (400, 404)),
    ("ERROR_MANIFEST_IS_NOT_AVAILABLE", MethodMissing, (404,)),
    ("INVALID_REQUEST", CallRejected, (400,)),
    ("ERROR_BATCH_METHOD_NOT_ALLOWED", CallRejected, (405,)),
    ("ERROR_BATCH_LENGTH_EXCEEDED", CallRejected, (400,)),
    ("QUERY_LIMIT_EXCEEDED", QueryLimit, (503,)),
    ("OPERATION_TIME_LIMIT", MethodPaused, (429,)),
    ("OVERLOAD_LIMIT", Overloaded, (401, 503)),
    ("INTERNAL_SERVER_ERROR", ServerFailed, (500,)),
    ("ERROR_UNEXPECTED_ANSWER", ServerFailed, (500,)),
    ("PORTAL_DELETED", PortalClosed, (403, 410, 500)),
    ("CONNECTION_ERROR", ServerFailed, (401,)),
    ("ERROR_ARGUMENT", CallRejected, (200, 400)),
    ("ERROR_CORE", CallRejected, (400, 500)),
    ("ERROR_NOT_FOUND", CallRejected, (400,)),
]
AUTHORIZATION: list[tuple[str, ErrorClass, tuple[int, ...]]] = [
    ("invalid_request", CallRejected, (400,)),
    ("invalid_client", KeysRejected, (400, 401)),
    ("wrong_client", KeysRejected, (200,)),
    ("invalid_grant", GrantRejected, (400,)),
    ("bad_verification_code", GrantRejected, (400,)),
    ("invalid_scope", ScopeMissing, (403,)),
    ("insufficient_scope", ScopeMissing, (403,)),
    ("PAYMENT_REQUIRED", PaymentRequired, (400, 401)),
    ("NOT_INSTALLED", ApplicationGone, (401,)),
    ("expired_token", TokenRejected, (400, 401)),
    ("invalid_token", TokenRejected, (401,)),
    ("ERROR_OAUTH", ApplicationGone, (401,)),
    ("APPLICATION_NOT_FOUND", ApplicationGone, (401,)),
]
# Real statuses, and those that a proxy may send instead.
STATUSES = (200, 400, 401, 403, 404, 429, 500, 503)
TABLES = [(*row, PORTAL_CODES) for row in PORTAL] + [(*row, AUTHORIZATION_CODES) for row in AUTHORIZATION]


def response(body: object, status: int = 200) -> RawResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawResponse(status, raw)


def error_of(body: object, status: int = 200, *, codes: Codes = PORTAL_CODES) -> Bitrix24Error:
    """Return the error of a response."""
    with pytest.raises(Bitrix24Error) as caught:
        envelope.parse_response(response(body, status), codes=codes)
    return caught.value


def test_a_result_is_returned() -> None:
    body: Json = {"result": {"view": "week"}, "time": {"start": 1790000000, "operating": 0}}

    assert envelope.parse_response(response(body)) == body


@pytest.mark.parametrize(("code", "error_class", "documented", "codes"), TABLES)
def test_each_code_has_its_error(code: str, error_class: ErrorClass, documented: tuple[int, ...], codes: Codes) -> None:
    for status in {*documented, *STATUSES}:
        for text in (code, code.upper(), code.lower(), code.title(), f" {code} "):
            error = error_of({"error": text, "error_description": "…"}, status, codes=codes)
            assert type(error) is error_class, (text, status)
            assert error.code.lower() == code.lower()


@pytest.mark.parametrize(("code", "error_class", "documented", "codes"), TABLES)
def test_every_documented_code_is_in_the_table(
    code: str, error_class: ErrorClass, documented: tuple[int, ...], codes: Codes
) -> None:
    assert codes[code.lower()] is error_class


def test_codes_in_the_tables_are_normalized() -> None:
    for code in {*PORTAL_CODES, *AUTHORIZATION_CODES}:
        assert code == code.strip().lower()


# Unknown codes


@pytest.mark.parametrize(
    ("status", "error_class"), [(200, CallRejected), (400, CallRejected), (403, CallRejected), (500, ServerFailed)]
)
@pytest.mark.parametrize("code", ["", "ERROR_NOBODY_KNOWS", "100"])
def test_an_unknown_code_is_judged_by_the_status(code: str, status: int, error_class: ErrorClass) -> None:
    error = error_of({"error": code, "error_description": "Wrong date"}, status)

    assert (type(error), error.code) == (error_class, code)


@pytest.mark.parametrize(
    "code",
    [
        "2b1d6966007e9c94001e30ba00000007f0f107aa2b1d6966007e9c94001e30ba000000",
        "Anna Orlova <anna@mail.example>",
        "\0",
        "line\nbreak",
        "x" * 65,
        "<b>",
        "\ud800",
    ],
)
def test_text_that_is_no_code_is_replaced(code: str) -> None:
    """A self-hosted portal can send any text; codes are logged, stored and shown."""
    error = error_of({"error": code}, 400)

    assert (type(error), error.code) == (CallRejected, "strange_code")


@pytest.mark.parametrize("code", [None, False, [], {}, {"code": None}, {"code": []}, 1.5])
def test_a_code_of_another_type_is_empty(code: Json) -> None:
    assert error_of({"error": code}, 400).code == ""


# Places of the error


def test_an_error_may_come_with_http_200() -> None:
    assert type(error_of({"error": "wrong_client"}, codes=AUTHORIZATION_CODES)) is KeysRejected
    assert type(error_of({"error": "ERROR_ARGUMENT", "argument": "HANDLER"})) is CallRejected


def test_an_error_wins_over_a_result_beside_it() -> None:
    assert error_of({"result": [], "error": "ACCESS_DENIED"}).code == "ACCESS_DENIED"
    assert error_of({"result": [], "error": ""}).code == ""


def test_a_null_error_beside_a_result_is_no_error() -> None:
    body: Json = {"result": True, "error": None}

    assert envelope.parse_response(response(body)) == body
    assert error_of({"error": None}).code == ""


def test_an_error_of_rest_3_is_nested() -> None:
    error = error_of({"error": {"code": "Expired_Token", "message": "…", "validation": []}}, 401)

    assert (type(error), error.code) == (TokenRejected, "Expired_Token")


def test_an_error_contains_no_description() -> None:
    error = error_of({"error": "ACCESS_DENIED", "error_description": "Anna Orlova may not"}, 403)

    assert "Anna" not in f"{error} {error!r} {error.args} {vars(error)}"


# Reset times


def test_a_limit_has_its_reset_time() -> None:
    error = error_of({"error": "OPERATION_TIME_LIMIT", "time": {"operating_reset_at": 1790000600}}, 429)

    assert isinstance(error, Limited)
    assert error.resets_at == 1790000600


@pytest.mark.parametrize(
    "time",
    [
        None,
        [],
        {},
        "soon",
        {"operating_reset_at": None},
        {"operating_reset_at": "soon"},
        {"operating_reset_at": True},
        {"operating_reset_at": -1},
        {"operating_reset_at": 10**400},
        {"operating_reset_at": 1e300},
        {"operating_reset_at": [1790000600]},
    ],
)
def test_an_invalid_reset_time_is_none(time: Json) -> None:
    error = error_of({"error": "OPERATION_TIME_LIMIT", "time": time}, 429)

    assert isinstance(error, MethodPaused)
    assert error.resets_at is None


# Responses without JSON


PAGE = b"<html><head><title>503</title></head><body>Service Temporarily Unavailable</body></html>"


@pytest.mark.parametrize("body", [PAGE, b"", b"[]", b'"text"', b"null", b'{"result": 1'])
@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (200, Unreadable),
        (204, Unreadable),
        (301, PortalMoved),
        (302, PortalMoved),
        (307, PortalMoved),
        (308, PortalMoved),
        (403, Unreadable),
        (404, Unreadable),
        (500, ServerFailed),
        (502, ServerFailed),
        (503, ServerFailed),
    ],
)
def test_without_json_the_status_decides(body: bytes, status: int, error_class: ErrorClass) -> None:
    assert type(error_of(body, status)) is error_class


def test_a_redirect_with_any_body_is_a_move() -> None:
    assert type(error_of({"result": True}, 302)) is PortalMoved


@pytest.mark.parametrize(("status", "error_class"), [(400, Unreadable), (500, ServerFailed)])
def test_a_result_with_an_error_status_is_refused(status: int, error_class: ErrorClass) -> None:
    assert type(error_of({"result": True}, status)) is error_class


def test_json_truncated_anywhere_is_unreadable() -> None:
    whole = json.dumps({"result": {"view": "week", "n": [1, 2.5, None, True, "\u044b"]}}).encode()

    for length in range(len(whole)):
        assert type(error_of(whole[:length])) is Unreadable


# Unusual JSON


@pytest.mark.parametrize("body", [b"NaN", b"Infinity", b"-Infinity", b"1, 2", b"'x'", b"{x: 1}"])
def test_invalid_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not JSON|Expecting|Extra data"):
        envelope.decode(body)


def test_a_byte_order_mark_is_ignored() -> None:
    assert envelope.parse_response(response(b'\xef\xbb\xbf{"result":true}')) == {"result": True}


def test_a_number_beyond_floats_stays_text() -> None:
    assert envelope.decode(b"[1e999, -1e999, 1e5]") == ["1e999", "-1e999", 100000.0]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'"\ud83d"', "?"),
        (rb'"\ude00 left alone"', "? left alone"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud83d"', "\\ud83d"),
        (rb'{"\ud83d": 1}', {"?": 1}),
        (b'"\xff"', "\ufffd"),
    ],
)
def test_invalid_unicode_is_replaced(body: bytes, value: Json) -> None:
    assert envelope.decode(body) == value


@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [41, 1000, 100_000])
def test_deep_nesting_is_unreadable(opens: bytes, closes: bytes, depth: int) -> None:
    bottom = b"[]" if opens == b"[" else b"{}"

    assert type(error_of(b'{"result":' + opens * depth + bottom + closes * depth + b"}")) is Unreadable


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'"\\ud800"', b"[" * 35 + b"]" * 35])
def test_too_many_values_are_not_parsed(value: bytes) -> None:
    """Half a megabyte of empty lists would take thirty times as much memory."""
    allowed = DEFAULT_LIMIT.values
    count = 2 * allowed // (1 + value.count(b"[") + value.count(b"{"))
    body = b'{"result":[' + b",".join([value] * count) + b"]}"

    error = error_of(body)

    assert (type(error), error.code) == (Unreadable, "answer_too_large")
    assert type(error_of(body, 502)) is ServerFailed
    assert "result" in envelope.parse_response(response(body), max_values=3 * allowed)


def test_moderate_nesting_is_decoded() -> None:
    assert "result" in envelope.parse_response(response(b'{"result":' + b"[" * 30 + b"]" * 30 + b"}"))


def test_long_numbers_are_bounded() -> None:
    assert envelope.decode(b"9" * 40) == int("9" * 40)
    with pytest.raises(ValueError, match="limit"):
        envelope.decode(b"9" * (sys.get_int_max_str_digits() + 1))


@given(body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()), status=st.integers(200, 599))
@example(body=b"\xef\xbb\xbf", status=200)
def test_any_response_is_an_object_or_an_error(body: bytes, status: int) -> None:
    try:
        envelope.parse_response(RawResponse(status, body))
    except Bitrix24Error as error:
        assert isinstance(error, NotAnswered) or 300 <= status < 400 or b"error" in body
    else:
        assert status < 300


@given(value=JSON)
def test_decoded_json_can_be_encoded(value: Json) -> None:
    try:
        decoded = envelope.decode(json.dumps(value).encode())
    except ValueError:
        return

    assert json.loads(json.dumps(decoded, ensure_ascii=False, allow_nan=False).encode()) == decoded


@given(value=JSON)
def test_an_error_of_any_shape_is_an_error(value: Json) -> None:
    error = envelope.find_error({"error": value, "time": value})

    assert len(error.code) <= 64
    assert error.code.isprintable()
    if isinstance(error, Limited) and error.resets_at is not None:
        assert math.isfinite(error.resets_at)
