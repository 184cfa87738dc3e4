"""What Bitrix24 posts to us, read strictly into checked values. Nothing here is proven yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from pydantic import SecretStr

from dashboard.bitrix24.envelope import decode
from dashboard.bitrix24.schemas import MAX_TOKEN_LENGTH
from dashboard.core.json_values import Json, parse_int

# simple-way.md: these four stand in the query string, all others in the form body.
IN_QUERY = ("DOMAIN", "PROTOCOL", "LANG", "APP_SID")
IN_FORM = (
    "AUTH_ID",
    "AUTH_EXPIRES",
    "REFRESH_ID",
    "SERVER_ENDPOINT",
    "APPLICATION_TOKEN",
    "APPLICATION_SCOPE",
    "member_id",
    "status",
    "PLACEMENT",
    "PLACEMENT_OPTIONS",
)
# Of the part `auth` of an event. What else stands there is anybody's to name, and is not read.
IN_AUTH = ("member_id", "application_token", "access_token", "server_endpoint")
# Nothing is parsed before its length is known: some parsers need time that grows with the square of it.
MAX_OPTIONS_LENGTH = 16 * 1024
MAX_ENDPOINT_LENGTH = 255
MAX_FIELD_LENGTH = 255
MAX_LENGTHS = {
    "DOMAIN": 253 + len(":65535"),
    "AUTH_ID": MAX_TOKEN_LENGTH,
    "REFRESH_ID": MAX_TOKEN_LENGTH,
    "APPLICATION_TOKEN": MAX_TOKEN_LENGTH,
    "APPLICATION_SCOPE": MAX_TOKEN_LENGTH,
    "SERVER_ENDPOINT": MAX_ENDPOINT_LENGTH,
    "PLACEMENT_OPTIONS": MAX_OPTIONS_LENGTH,
}

# Both are opaque; their length and letters are Bitrix24's business.
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN_LENGTH}}}")
_ENDPOINT = re.compile(rf"[\x21-\x7e]{{1,{MAX_ENDPOINT_LENGTH}}}")
_MEMBER_ID = re.compile(r"[0-9A-Za-z_.\-]{1,64}")
_WORD = re.compile(r"[0-9A-Za-z_:.*\-]{0,64}")
_LABEL = r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*)(?::([0-9]{{1,5}}))?")
_BRACKETED = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


class BadField(ValueError):
    """A field that is missing, repeated or malformed; its name is for the answer, its value is not kept."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Fields(Protocol):
    """A multi-dict, as the web framework has it."""

    def getlist(self, key: str) -> list[str]: ...

    def keys(self) -> Iterable[str]: ...


@dataclass(frozen=True)
class OpeningRequest:
    """One opening of the application in a frame (oauth/simple-way.md): claims, until a token proves them.

    ``domain`` is lower-case and without its default port. The fields newer than mid 2025 may be None.
    """

    domain: str
    secure: bool
    language: str
    app_sid: str
    access_token: SecretStr
    refresh_token: SecretStr | None
    expires_in: int
    member_id: str
    status: str
    placement: str
    options: Mapping[str, Json]
    server_endpoint: str | None
    application_token: SecretStr | None


@dataclass(frozen=True)
class Event:
    """One event of the portal's queue; all leaves are text. ``sent_at`` is Unix seconds or None."""

    name: str
    member_id: str
    application_token: SecretStr | None
    access_token: SecretStr | None
    server_endpoint: str | None
    sent_at: int | None
    data: Mapping[str, str]


def parse_opening(query: Fields, form: Fields) -> OpeningRequest:
    """Return the opening.

    :raise BadField: the first field that is missing, repeated, in the wrong place or malformed.
    """
    asked = {name: _bounded(_once(query, name), name) for name in IN_QUERY}
    posted = {name: _bounded(_once(form, name), name) for name in IN_FORM}
    secure = _matching(asked["PROTOCOL"] or "1", re.compile("[01]"), "PROTOCOL") == "1"
    return OpeningRequest(
        domain=parse_domain(_required(asked["DOMAIN"], "DOMAIN"), secure=secure),
        secure=secure,
        language=_matching(asked["LANG"] or "en", _WORD, "LANG").lower(),
        app_sid=_matching(asked["APP_SID"] or "", _WORD, "APP_SID"),
        access_token=_token(_required(posted.get("AUTH_ID"), "AUTH_ID"), "AUTH_ID"),
        refresh_token=_optional_token(posted.get("REFRESH_ID"), "REFRESH_ID"),
        expires_in=int(_matching(posted.get("AUTH_EXPIRES") or "3600", re.compile(r"\d{1,9}"), "AUTH_EXPIRES")),
        member_id=_matching(_required(posted.get("member_id"), "member_id"), _MEMBER_ID, "member_id"),
        status=_matching(posted.get("status") or "", re.compile("[A-Za-z]?"), "status").upper(),
        placement=_matching(posted.get("PLACEMENT") or "DEFAULT", _WORD, "PLACEMENT"),
        options=_options(posted.get("PLACEMENT_OPTIONS") or ""),
        server_endpoint=_optional_endpoint(posted.get("SERVER_ENDPOINT"), "SERVER_ENDPOINT"),
        application_token=_optional_token(posted.get("APPLICATION_TOKEN"), "APPLICATION_TOKEN"),
    )


def parse_domain(value: str, *, secure: bool) -> str:
    """Return ``host`` or ``host:port`` in lower case, as a browser's ``location.host`` would say it.

    :raise BadField: user, path, unicode, trailing dot, or no host at all.
    """
    # Some letters beyond ASCII become ASCII ones in lower case.
    found = _HOST.fullmatch(value.lower()) if value.isascii() and len(value) <= 253 else None
    if found is None:
        raise BadField("DOMAIN", "is not a host name")
    host, port = found[1], found[2]
    if port is None or int(port) == (443 if secure else 80):
        return host
    if not 0 < int(port) < 65536:
        raise BadField("DOMAIN", "has no such port")
    return f"{host}:{int(port)}"


def is_ip_literal(domain: str) -> bool:
    """Tell whether a checked domain is an address in digits, in any spelling a resolver would take."""
    host = domain.partition(":")[0]
    try:
        ip_address(host)
    except ValueError:
        return bool(re.fullmatch(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}", host))
    return True


def parse_event(form: Fields) -> Event:
    """Return the event; its keys are nested with brackets, ``auth[member_id]`` (events/index.md).

    :raise BadField: the first field that is missing, repeated or malformed.
    """
    data: dict[str, str] = {}
    auth: dict[str, str | None] = {}
    for name in form.keys():  # noqa: SIM118  # not a dict
        if len(name) > MAX_FIELD_LENGTH:
            continue
        found = _BRACKETED.fullmatch(name)
        inner = found[2][1:-1] if found else ""
        if found and found[1] == "auth" and inner in IN_AUTH:
            auth[inner] = _once(form, name)
        elif found and found[1] == "data" and inner:
            data[inner] = form.getlist(name)[0][:MAX_FIELD_LENGTH]
    return Event(
        name=_matching(_required(_once(form, "event"), "event"), _WORD, "event").upper(),
        member_id=_matching(_required(auth.get("member_id"), "auth[member_id]"), _MEMBER_ID, "auth[member_id]"),
        application_token=_token_if_any(auth.get("application_token")),
        access_token=_token_if_any(auth.get("access_token")),
        server_endpoint=_endpoint_if_any(auth.get("server_endpoint")),
        sent_at=_moment_if_any(_once(form, "ts")),
        data=data,
    )


def _token_if_any(value: str | None) -> SecretStr | None:
    """Return a token, None for what cannot be one: an event is refused for its proof, never for its spelling.

    It is sent once; a true uninstallation must not be lost over a field that proves nothing.
    """
    return SecretStr(value) if value and _TOKEN.fullmatch(value) else None


def _endpoint_if_any(value: str | None) -> str | None:
    """Return an endpoint, None for what cannot be one; see above why an event is not refused for it."""
    return value if value and _ENDPOINT.fullmatch(value) else None


def _moment_if_any(value: str | None) -> int | None:
    return parse_int(value) if value and len(value) <= MAX_FIELD_LENGTH else None


def _bounded(value: str | None, name: str) -> str | None:
    if value is not None and len(value) > MAX_LENGTHS.get(name, MAX_FIELD_LENGTH):
        raise BadField(name, "is too long")
    return value


def _once(fields: Fields, name: str) -> str | None:
    values = fields.getlist(name)
    if len(values) > 1:
        raise BadField(name, "is repeated")
    return values[0] if values else None


def _required(value: str | None, name: str) -> str:
    if not value:
        raise BadField(name, "is missing")
    return value


def _matching(value: str, pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(value):
        raise BadField(name, "is malformed")
    return value


def _token(value: str, name: str) -> SecretStr:
    return SecretStr(_matching(value, _TOKEN, name))


def _optional_token(value: str | None, name: str) -> SecretStr | None:
    return _token(value, name) if value else None


def _optional_endpoint(value: str | None, name: str) -> str | None:
    """Return an endpoint; what lies beyond ASCII would be normalized before anybody could refuse it."""
    return _matching(value, _ENDPOINT, name) if value else None


def _options(text: str) -> Mapping[str, Json]:
    """Return PLACEMENT_OPTIONS; it may be absent, ``[]`` or, from one placement, the word `undefined`."""
    try:
        value = decode(text.encode(errors="replace"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
