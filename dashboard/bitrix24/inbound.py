"""Parse the forms that Bitrix24 posts. Nothing in them is trusted until a token is verified."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from dashboard.bitrix24.envelope import decode
from dashboard.bitrix24.schemas import MAX_TOKEN_LENGTH, parse_lifetime
from dashboard.core.json_values import Json

# Tokens are opaque: Bitrix24 documents neither their length nor their characters.
_TOKEN = rf"[\x21-\x7e]{{1,{MAX_TOKEN_LENGTH}}}"
# ASCII only, because parsing a URL normalizes Unicode in quadratic time.
_ENDPOINT = r"[\x21-\x7e]{1,255}"
_MEMBER_ID = r"[0-9A-Za-z_.\-]{1,64}"
_WORD = r"[0-9A-Za-z_:.*\-]{1,64}"
# The fields we read and the pattern of each. Every pattern has a maximum length, which holds before anything
# else parses the value. Bitrix24 sends the first three in the query string and all others in the body
# (Bitrix24 REST docs, oauth/simple-way.md).
QUERY_FIELDS = {"DOMAIN": r"(?s:.){1,260}", "PROTOCOL": "[01]", "LANG": _WORD}
FORM_FIELDS = {
    "AUTH_ID": _TOKEN,
    "AUTH_EXPIRES": "[0-9]{1,9}",
    "REFRESH_ID": _TOKEN,
    "SERVER_ENDPOINT": _ENDPOINT,
    "APPLICATION_TOKEN": _TOKEN,
    "member_id": _MEMBER_ID,
    "PLACEMENT": _WORD,
    "PLACEMENT_OPTIONS": r"(?s:.){1,16384}",
}
# Bitrix24 REST docs, events/index.md.
EVENT_FIELDS = {
    "event": _WORD,
    "ts": "[0-9]{1,15}",
    "data[CLEAN]": "[01]",
    "auth[member_id]": _MEMBER_ID,
    "auth[application_token]": _TOKEN,
    "auth[access_token]": _TOKEN,
    "auth[server_endpoint]": _ENDPOINT,
}
_LABEL = r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*)(?::([0-9]{{1,5}}))?")
# What `inet_aton` accepts: one to four numbers, each decimal, octal or hexadecimal.
_IP_LITERAL = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}")


class BadField(ValueError):
    """A field is missing, repeated or malformed. The response names it; its value is not kept."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class TooManyFields(BadField):
    """The body has so many fields that it is not parsed."""

    def __init__(self) -> None:
        super().__init__("body", "has too many fields")


class Fields(Protocol):
    """A form or a query string, as the web framework represents it."""

    def getlist(self, key: str) -> list[str]:
        """Return every value of a field."""
        ...


@dataclass(frozen=True)
class OpeningRequest:
    """A request to open the application in a frame (Bitrix24 REST docs, oauth/simple-way.md).

    ``domain`` is in lower case and has no default port. Portals older than mid-2025 send neither
    ``server_endpoint`` nor ``application_token``.
    """

    domain: str
    secure: bool
    language: str
    access_token: SecretStr
    refresh_token: SecretStr | None
    expires_in: int
    member_id: str
    placement: str
    options: Mapping[str, Json]
    server_endpoint: str | None
    application_token: SecretStr | None


@dataclass(frozen=True)
class Event:
    """An event of a portal. ``sent_at`` is Unix seconds; ``clean`` asks an uninstallation to delete all data."""

    name: str
    member_id: str
    application_token: SecretStr | None
    access_token: SecretStr | None
    server_endpoint: str | None
    sent_at: int | None
    clean: bool


def parse_opening(query: Fields, form: Fields) -> OpeningRequest:
    """Return the opening.

    :raise BadField: a field is missing, repeated, in the wrong place or malformed.
    """
    query_values = _read(query, QUERY_FIELDS, required=("DOMAIN",))
    form_values = _read(form, FORM_FIELDS, required=("AUTH_ID", "member_id"))
    secure = query_values.get("PROTOCOL", "1") == "1"
    return OpeningRequest(
        domain=parse_domain(query_values["DOMAIN"], secure=secure),
        secure=secure,
        language=query_values.get("LANG", "en").lower(),
        access_token=SecretStr(form_values["AUTH_ID"]),
        refresh_token=_secret(form_values.get("REFRESH_ID")),
        expires_in=parse_lifetime(form_values.get("AUTH_EXPIRES")),
        member_id=form_values["member_id"],
        placement=form_values.get("PLACEMENT", "DEFAULT"),
        options=_parse_options(form_values.get("PLACEMENT_OPTIONS", "")),
        server_endpoint=form_values.get("SERVER_ENDPOINT"),
        application_token=_secret(form_values.get("APPLICATION_TOKEN")),
    )


def parse_event(form: Fields) -> Event:
    """Return the event. Malformed optional fields are ignored.

    Bitrix24 sends an event once, so a malformed field that verifies nothing must not lose an uninstallation.

    :raise BadField: a field is repeated, or a required one is missing or malformed.
    """
    form_values = _read(form, EVENT_FIELDS, required=("event", "auth[member_id]"), lenient=True)
    sent_at = form_values.get("ts")
    return Event(
        name=form_values["event"].upper(),
        member_id=form_values["auth[member_id]"],
        application_token=_secret(form_values.get("auth[application_token]")),
        access_token=_secret(form_values.get("auth[access_token]")),
        server_endpoint=form_values.get("auth[server_endpoint]"),
        sent_at=int(sent_at) if sent_at else None,
        clean=form_values.get("data[CLEAN]") == "1",
    )


def parse_domain(value: str, *, secure: bool) -> str:
    """Return ``host`` or ``host:port`` as a browser's ``location.host`` has it.

    :raise BadField: the value is no host name; a user, a path, Unicode and a trailing dot are not allowed.
    """
    # Some letters beyond ASCII become ASCII in lower case.
    match = _HOST.fullmatch(value.lower()) if value.isascii() and len(value) <= 253 else None
    if match is None:
        raise BadField("DOMAIN", "is not a host name")
    host, port = match[1], match[2]
    if port is None or int(port) == (443 if secure else 80):
        return host
    if not 0 < int(port) < 65536:
        raise BadField("DOMAIN", "has an invalid port")
    return f"{host}:{int(port)}"


def is_ip_literal(domain: str) -> bool:
    """Tell whether a parsed domain is an IP address, in any notation that a resolver accepts."""
    return bool(_IP_LITERAL.fullmatch(domain.partition(":")[0]))


def _read(
    fields: Fields, patterns: Mapping[str, str], *, required: Collection[str], lenient: bool = False
) -> dict[str, str]:
    """Return the fields that are not empty; ``lenient`` leaves out malformed ones that are not required."""
    values: dict[str, str] = {}
    for name, pattern in patterns.items():
        match fields.getlist(name):
            case [] | [""] if name in required:
                raise BadField(name, "is missing")
            case [] | [""]:
                pass
            case [value] if re.fullmatch(pattern, value):
                values[name] = value
            case [_] if name in required or not lenient:
                raise BadField(name, "is malformed")
            case [_, _, *_]:
                raise BadField(name, "is repeated")
    return values


def _secret(value: str | None) -> SecretStr | None:
    return SecretStr(value) if value else None


def _parse_options(text: str) -> Mapping[str, Json]:
    """Return PLACEMENT_OPTIONS. It may be missing, ``[]`` or, in one placement, the word ``undefined``."""
    try:
        value = decode(text.encode(errors="replace"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
