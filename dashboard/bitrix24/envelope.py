"""How an answer is read: JSON, errors by their code wherever they stand, nothing judged by status alone."""

from __future__ import annotations

import json
import math
import re

from dashboard.bitrix24.errors import (
    PORTAL_CODES,
    Bitrix24Error,
    Codes,
    PortalMoved,
    ServerFailed,
    Unreadable,
    from_code,
)
from dashboard.bitrix24.transport import RawResponse
from dashboard.core.json_values import Json

MAX_DEPTH = 40
UNRECOGNIZED_CODE = "strange_code"
_WORD = re.compile(r"[0-9A-Za-z_.:\-]{0,64}")
_TOKEN_LIKE = re.compile(r"(?=[A-Za-z]*[0-9])[0-9A-Za-z]{16,}")
_YEAR_10000 = 253_402_300_800
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_response(answer: RawResponse, *, codes: Codes = PORTAL_CODES) -> dict[str, Json]:
    """Return the answer's JSON object.

    :raise Bitrix24Error: the leaf for what the server said, or for an answer that says nothing.
    """
    if 300 <= answer.status < 400:
        raise PortalMoved("moved", status=answer.status)
    try:
        body = decode(answer.body)
    except ValueError:
        raise _without_json(answer.status) from None
    if not isinstance(body, dict):
        raise _without_json(answer.status)
    if _is_error(body):
        raise find_error(body, codes=codes, status=answer.status)
    if answer.status >= 400:
        raise _without_json(answer.status)
    return body


def decode(body: bytes) -> Json:
    """Return the JSON value, with text that can be stored and sent on.

    :raise ValueError: this is not JSON, or nested or long beyond reason.
    """
    text = body.decode("utf-8-sig", errors="replace")
    try:
        value: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _refuse_depth(value)
    if _SURROGATE.search(text):
        # A lone half of a surrogate pair is legal JSON and illegal UTF-8: it breaks the page and the store.
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", errors="replace"))
    return value


def find_error(body: dict[str, Json], *, codes: Codes = PORTAL_CODES, status: int | None = None) -> Bitrix24Error:
    """Return the error an object with the key ``error`` stands for."""
    return from_code(codes, _find_code(body), status=status, resets_at=_resets_at(body))


def _find_code(body: dict[str, Json]) -> str:
    """Return the code; REST 3.0 nests it.

    What is no single word is not repeated: a code is logged, stored and shown, and a portal on its owner's
    own server may write a name, a token or a control character there.
    """
    code = body.get("error")
    if isinstance(code, dict):
        code = code.get("code")
    code = code.strip() if isinstance(code, str) else ""
    return code if _WORD.fullmatch(code) and not _TOKEN_LIKE.search(code) else UNRECOGNIZED_CODE


def _is_error(body: dict[str, Json]) -> bool:
    """The key decides, not its value: the code of a validation error is the empty string."""
    return "error" in body and not (body["error"] is None and "result" in body)


def _without_json(status: int) -> Bitrix24Error:
    return ServerFailed(f"http_{status}", status=status) if status >= 500 else Unreadable("bad_answer", status=status)


def _resets_at(body: dict[str, Json]) -> float | None:
    """Return ``operating_reset_at`` (Unix seconds) of the `time` block where a clock could show it."""
    time = body.get("time")
    moment = time.get("operating_reset_at") if isinstance(time, dict) else None
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 < moment < _YEAR_10000:
        return None
    return float(moment)


def _refuse_depth(value: Json) -> None:
    """Refuse what a later walk over the value (to mask, to store, to show) could not climb out of."""
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        containers = [part for part in level if isinstance(part, dict | list)]
        if not containers:
            return
        level = [item for part in containers for item in (part.values() if isinstance(part, dict) else part)]
    raise ValueError("nested too deeply")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits
