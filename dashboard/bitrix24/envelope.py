"""Decode responses: JSON, and errors by their code, which may be in several places and with any HTTP status."""

from __future__ import annotations

import json
import math
import re

from dashboard.bitrix24.errors import (
    BAD_RESPONSE,
    PORTAL_CODES,
    RESPONSE_TOO_LARGE,
    Bitrix24Error,
    Codes,
    PortalMoved,
    ServerFailed,
    Unreadable,
    from_code,
)
from dashboard.bitrix24.transport import DEFAULT_LIMIT, RawResponse
from dashboard.core.json_values import Json

MAX_DEPTH = 40
UNRECOGNIZED_CODE = "strange_code"
_CODE = re.compile(r"[0-9A-Za-z_.:\-]{0,64}")
_TOKEN_LIKE = re.compile(r"(?=[A-Za-z]*[0-9])[0-9A-Za-z]{16,}")
_YEAR_10000 = 253_402_300_800
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_response(
    response: RawResponse, *, codes: Codes = PORTAL_CODES, max_values: int = DEFAULT_LIMIT.values
) -> dict[str, Json]:
    """Return the response's JSON object.

    :raise Bitrix24Error: the error that the server sent, or that the response is not usable.
    """
    status = response.status
    if 300 <= status < 400:
        raise PortalMoved("moved")
    is_too_large = _upper_bound_of_values(response.body) > max_values
    try:
        body = None if is_too_large else decode(response.body)
    except ValueError:
        body = None
    if isinstance(body, dict):
        # A validation error has an empty code, so the key decides.
        if "error" in body and not (body["error"] is None and "result" in body):
            raise find_error(body, codes=codes, status=status)
        if status < 400:
            return body
    if status >= 500:
        raise ServerFailed(f"http_{status}")
    raise Unreadable(RESPONSE_TOO_LARGE if is_too_large else BAD_RESPONSE)


def result_of(body: dict[str, Json]) -> Json:
    """Return the result of a method.

    :raise Unreadable: there is none.
    """
    if "result" not in body:
        raise Unreadable(BAD_RESPONSE)
    return body["result"]


def decode(body: bytes) -> Json:
    """Return the JSON value; its text can always be stored and sent.

    :raise ValueError: this is not JSON, or its nesting or a number is too large.
    """
    text = body.decode("utf-8-sig", errors="replace")
    try:
        value: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(value)
    if _SURROGATE.search(text):
        value = _replace_surrogates(value)
    return value


def find_error(body: dict[str, Json], *, codes: Codes = PORTAL_CODES, status: int | None = None) -> Bitrix24Error:
    """Return the error that an object with the key ``error`` describes."""
    return from_code(codes, _find_code(body), status=status, resets_at=_find_reset(body))


def _find_code(body: dict[str, Json]) -> str:
    """Return the code; REST 3.0 nests it.

    Codes are logged, stored and shown, and a self-hosted portal can write anything there: a name, a token or
    a control character is replaced.
    """
    code = body.get("error")
    if isinstance(code, dict):
        code = code.get("code")
    code = code.strip() if isinstance(code, str) else ""
    return code if _CODE.fullmatch(code) and not _TOKEN_LIKE.search(code) else UNRECOGNIZED_CODE


def _find_reset(body: dict[str, Json]) -> float | None:
    """Return ``operating_reset_at`` (Unix seconds) of the `time` block, None where it is no possible time."""
    time = body.get("time")
    seconds = time.get("operating_reset_at") if isinstance(time, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < _YEAR_10000:
        return None
    return float(seconds)


def _upper_bound_of_values(body: bytes) -> int:
    """Return how many values the JSON has at most: each one but the first follows a bracket, brace or comma."""
    return sum(map(body.count, (b"[", b"{", b",")))


def _replace_surrogates(value: Json) -> Json:
    """Replace each half of a surrogate pair by ``?``: JSON allows it, UTF-8 does not."""
    if isinstance(value, dict):
        return {_encodable(key): _replace_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    return _encodable(value) if isinstance(value, str) else value


def _encodable(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode()


def _check_depth(value: Json) -> None:
    """Refuse nesting that is too deep for the recursive functions that mask, store or show the value."""
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        containers = [part for part in level if isinstance(part, dict | list)]
        if not containers:
            return
        level = [item for part in containers for item in (part.values() if isinstance(part, dict) else part)]
    raise ValueError("nested too deeply")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits
