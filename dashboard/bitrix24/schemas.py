"""What Bitrix24's small methods answer, read once into frozen values."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from dashboard.bitrix24.errors import PersonDismissed, Unreadable
from dashboard.core.json_values import Json, parse_int

MAX_TEXT_LENGTH = 255
MAX_TOKEN_LENGTH = 2048
_HOST = re.compile(r"[a-z0-9._\-]+|\[[0-9a-f:.]+\]")


def sanitize(value: Any) -> Any:
    """Return text that any database stores and any page shows: no control characters, bounded."""
    if value is None or isinstance(value, bool | list | dict):
        return ""  # PHP's empties: an absent text may come as false or []
    # Marks that are left out are rare: four times the length is enough to find what is kept.
    printable = (mark for mark in str(value)[: 4 * MAX_TEXT_LENGTH] if unicodedata.category(mark) not in ("Cc", "Cs"))
    return "".join(printable).strip()[:MAX_TEXT_LENGTH]


def _flag(value: Any) -> Any:
    return value in (True, 1) or (isinstance(value, str) and value.strip().lower() in ("y", "1", "true"))


def _lifetime(value: Any) -> Any:
    """Return seconds; a missing or strange lifetime counts as the usual hour, the error decides anyway."""
    seconds = parse_int(value)
    return seconds if seconds is not None and 0 < seconds <= 30 * 86400 else 3600


def _known_id(value: Any) -> Any:
    """Return a person's number, None for anything else: what stands beside a token never costs the token."""
    number = parse_int(value)
    return number if number is not None and number > 0 else None


def _known_text(value: Any) -> Any:
    return value if isinstance(value, str) and value else None


def origin_of(endpoint: str) -> str:
    """Return ``https://portal.example`` for ``https://portal.example/rest/``; the default port is dropped.

    :raise ValueError: it is no http address, carries a user name, or is longer than we store.
    """
    if len(endpoint) > MAX_TEXT_LENGTH:
        # Before it is parsed: that normalizes Unicode, in a time that grows with the square of the length.
        raise ValueError("too long an address")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError("not an address")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, default) else f":{parts.port}"
    host = host if host.isascii() else host.encode("idna").decode()
    if not _HOST.fullmatch(host):
        # The address ends in a header that lists who may frame us; nothing may hide in it.
        raise ValueError("not a host")
    origin = f"{parts.scheme}://{host}{port}"
    if len(origin) > MAX_TEXT_LENGTH:
        raise ValueError("too long an address")
    return origin


Text = Annotated[str, BeforeValidator(sanitize)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Id = Annotated[int, BeforeValidator(parse_int), Field(ge=1)]
KnownId = Annotated[int | None, BeforeValidator(_known_id)]
Token = Annotated[SecretStr, Field(min_length=1, max_length=MAX_TOKEN_LENGTH)]
Endpoint = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]


class ResponseModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, coerce_numbers_to_str=True)


A = TypeVar("A", bound=ResponseModel)


def parse_as(kind: type[A], value: Json) -> A:
    """Return the value as ``kind``.

    :raise Unreadable: it has another shape. Not chained: a validator's text may quote what it refused.
    """
    try:
        return kind.model_validate(value)
    except ValidationError:
        raise Unreadable("bad_answer") from None


class AppInfo(ResponseModel):
    """``app.info`` at the portal (common/system/app-info.md): which application the token belongs to."""

    CODE: Text = ""
    STATUS: Text = ""
    INSTALLED: Flag = True


class PersonName(ResponseModel):
    """The two parts of a person's name."""

    NAME: Text = ""
    LAST_NAME: Text = ""

    @property
    def full_name(self) -> str:
        return f"{self.NAME} {self.LAST_NAME}".strip()[:MAX_TEXT_LENGTH]


class Profile(PersonName):
    """``profile`` (common/users/profile.md): whose token this is. An inactive person's is ``[]``."""

    ID: Id
    ADMIN: Flag = False
    TIME_ZONE: Text = ""
    PERSONAL_PHOTO: Text = ""


def parse_profile(value: Json) -> Profile:
    """Return whose token it is.

    :raise PersonDismissed: nobody's any more; the portal answers an empty profile then.
    :raise Unreadable: it has another shape.
    """
    if value in ([], {}, None):
        raise PersonDismissed("inactive_person")
    return parse_as(Profile, value)


class _OAuthInstall(ResponseModel):
    member_id: Text
    client_endpoint: Endpoint
    status: Text = ""
    version: Text = ""
    scope: Text = ""
    installed: Flag = True

    @model_validator(mode="before")
    @classmethod
    def _says_where(cls, values: Any) -> Any:
        """Find the address where `client_endpoint` is missing: the same answer tells it twice more."""
        if not isinstance(values, dict) or values.get("client_endpoint"):
            return values
        domain = values.get("domain")
        return {**values, "client_endpoint": values.get("uri") or (domain and f"https://{domain}")}

    @field_validator("client_endpoint")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return origin_of(value)


class OAuthAppInfo(ResponseModel):
    """``app.info`` at an authorization server: who issued this token, to which application, for which portal.

    Undocumented; the shape is the official Python client's. It holds no ``application_token``.
    ``install.client_endpoint`` is read as the portal's origin.
    """

    client_id: Text
    install: _OAuthInstall
    user_id: KnownId = None

    @property
    def member_id(self) -> str:
        return self.install.member_id

    @property
    def origin(self) -> str:
        return self.install.client_endpoint


class TokenResponse(ResponseModel):
    """A token answer (oauth/auto-renewal.md). Its ``domain`` is the authorization server's: not read."""

    access_token: Token
    refresh_token: Annotated[Token | None, BeforeValidator(_known_text)] = None
    expires_in: Annotated[int, BeforeValidator(_lifetime)] = 3600
    member_id: Text = ""
    user_id: KnownId = None
    client_endpoint: Annotated[str | None, BeforeValidator(_known_text)] = None

    @property
    def origin(self) -> str | None:
        """The portal's address as the authorization server knows it now, where it says so intelligibly."""
        try:
            return origin_of(self.client_endpoint) if self.client_endpoint else None
        except ValueError:
            return None
