"""Model the responses of Bitrix24's REST methods and authorization servers."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from dashboard.bitrix24.errors import BAD_RESPONSE, PersonDismissed, Unreadable
from dashboard.core.json_values import Json, parse_int, strip_control_characters

MAX_TEXT_LENGTH = 255
MAX_TOKEN_LENGTH = 2048
DEFAULT_LIFETIME, MAX_LIFETIME = 3600, 30 * 86400  # of an access token, in seconds
_HOST = re.compile(r"[a-z0-9._\-]+|\[[0-9a-f:.]+\]")


def sanitize(value: Any) -> Any:
    """Return text of at most MAX_TEXT_LENGTH without what controls terminals or the direction of text.

    PHP sends an empty text as false or [].
    """
    if value is None or isinstance(value, bool | list | dict):
        return ""
    # Limit the work first. Control characters are rare, so this leaves enough text.
    characters = (mark for mark in str(value)[: 4 * MAX_TEXT_LENGTH] if unicodedata.category(mark) not in ("Cc", "Cs"))
    return strip_control_characters("".join(characters)).strip()[:MAX_TEXT_LENGTH]


def parse_origin(endpoint: str) -> str:
    """Return ``https://portal.example`` for ``https://portal.example/rest/``; the default port is dropped.

    :raise ValueError: the endpoint is no http address, contains a user name, or is too long to be stored.
    """
    if len(endpoint) > MAX_TEXT_LENGTH:
        # Check first: parsing normalizes Unicode in quadratic time.
        raise ValueError("the URL is too long")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError("not an address")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, default) else f":{parts.port}"
    host = host if host.isascii() else host.encode("idna").decode()
    if not _HOST.fullmatch(host):
        # The origin is written into the frame-ancestors header.
        raise ValueError("not a host")
    origin = f"{parts.scheme}://{host}{port}"
    if len(origin) > MAX_TEXT_LENGTH:
        raise ValueError("the URL is too long")
    return origin


def _parse_flag(value: Any) -> bool:
    return value in (True, 1) or (isinstance(value, str) and value.strip().lower() in ("y", "1", "true"))


def parse_lifetime(value: Any) -> int:
    """Return for how many seconds an access token is valid; DEFAULT_LIFETIME if the value is missing or impossible."""
    seconds = parse_int(value)
    return seconds if seconds is not None and 0 < seconds <= MAX_LIFETIME else DEFAULT_LIFETIME


def _none_if_invalid(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Ignore a malformed optional field: rejecting the response would lose the only valid token pair."""
    try:
        return validate(value)
    except ValidationError:
        return None


Text = Annotated[str, BeforeValidator(sanitize)]
Flag = Annotated[bool, BeforeValidator(_parse_flag)]
Id = Annotated[int, BeforeValidator(parse_int), Field(ge=1)]
OptionalId = Annotated[Id | None, WrapValidator(_none_if_invalid)]
Token = Annotated[SecretStr, Field(min_length=1, max_length=MAX_TOKEN_LENGTH)]
OptionalToken = Annotated[Token | None, WrapValidator(_none_if_invalid)]
Origin = Annotated[str, AfterValidator(parse_origin)]
OptionalOrigin = Annotated[Origin | None, WrapValidator(_none_if_invalid)]


class ResponseModel(BaseModel):
    """A frozen model that ignores unknown fields and never quotes its input."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, coerce_numbers_to_str=True)


ModelT = TypeVar("ModelT", bound=ResponseModel)


def parse_as(model: type[ModelT], value: Json) -> ModelT:
    """Return the value as a model.

    :raise Unreadable: the value has another shape. Not chained: pydantic's message may quote the value.
    """
    try:
        return model.model_validate(value)
    except ValidationError:
        raise Unreadable(BAD_RESPONSE) from None


class AppInfo(ResponseModel):
    """A portal's ``app.info``: a token's application (Bitrix24 REST docs, common/system/app-info.md)."""

    CODE: Text = ""
    STATUS: Text = ""


class User(ResponseModel):
    """The fields that ``profile`` and ``user.get`` have in common."""

    ID: Id
    NAME: Text = ""
    LAST_NAME: Text = ""
    SECOND_NAME: Text = ""
    TIME_ZONE: Text = ""

    @property
    def full_name(self) -> str:
        """Return the first and the last name, else the patronymic, of at most MAX_TEXT_LENGTH; empty if all are."""
        return (f"{self.NAME} {self.LAST_NAME}".strip() or self.SECOND_NAME.strip())[:MAX_TEXT_LENGTH]


class Profile(User):
    """``profile`` (Bitrix24 REST docs, common/users/profile.md): the owner of a token."""

    ADMIN: Flag = False


def parse_profile(value: Json) -> Profile:
    """Return the owner of the token.

    :raise PersonDismissed: the profile is empty, as it is for an inactive user.
    :raise Unreadable: the value has another shape.
    """
    if value in ([], {}, None):
        raise PersonDismissed("inactive_person")
    return parse_as(Profile, value)


class _OAuthInstall(ResponseModel):
    member_id: Text
    client_endpoint: Origin

    @model_validator(mode="before")
    @classmethod
    def _find_endpoint(cls, values: Any) -> Any:
        """Use ``uri`` or ``domain`` where ``client_endpoint`` is missing."""
        if not isinstance(values, dict) or values.get("client_endpoint"):
            return values
        domain = values.get("domain")
        return {**values, "client_endpoint": values.get("uri") or (domain and f"https://{domain}")}


class OAuthAppInfo(ResponseModel):
    """``app.info`` of an authorization server: the application, portal and user that a token belongs to.

    It is not documented; the shape is the official Python client's.
    """

    client_id: Text
    install: _OAuthInstall
    user_id: OptionalId = None

    @property
    def member_id(self) -> str:
        """Return the portal's ID."""
        return self.install.member_id

    @property
    def origin(self) -> str:
        """Return the portal's address."""
        return self.install.client_endpoint


class TokenResponse(ResponseModel):
    """A token response (Bitrix24 REST docs, oauth/auto-renewal.md).

    ``domain`` is not read, because it is the authorization server's.
    """

    access_token: Token
    refresh_token: OptionalToken = None
    expires_in: Annotated[int, BeforeValidator(parse_lifetime)] = DEFAULT_LIFETIME
    member_id: Text = ""
    user_id: OptionalId = None
    # The portal's present address.
    origin: Annotated[OptionalOrigin, Field(validation_alias="client_endpoint")] = None
