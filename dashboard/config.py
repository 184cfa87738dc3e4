"""Configuration, read once from the environment and refused by the variable's name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from cryptography.fernet import Fernet
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

MAY_BE_FILES = (
    "SECRET_KEY",
    "TOKEN_KEYS",
    "BITRIX24_CLIENT_SECRET",
    "DATABASE_URL",
)
AUTHORIZATION_SERVERS = "https://oauth.bitrix.info,https://oauth.bitrix24.tech,https://oauth.bitrix24.info"
SHORTEST_SECRET_KEY = 16
FERNET_KEY_LENGTH = 44
SWITCHED_ON = ("1", "true", "t", "on", "yes", "y")


class ConfigError(ValueError):
    """One line that names the variable and says what is wrong with it; never the value."""


def _split(value: Any) -> Any:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def _parts(url: str) -> SplitResult:
    example = "must be an address such as https://example.com"
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        # Not chained: the parser's own text quotes the address, and an address may hold a password.
        raise ValueError(example) from None
    if not complete or any(mark.isspace() for mark in url):
        raise ValueError(example)
    return parts


def _address(url: str) -> str:
    _parts(url)
    return url


def _origin(url: str) -> str:
    """Return the origin as Bitrix24 would spell it: lower-case and without a default port."""
    parts = _parts(url)
    if parts.path.rstrip("/") or parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be an address without path, query and user")
    default = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default)}"


def _database_url(url: SecretStr) -> SecretStr:
    """Make ``postgres://`` and ``postgresql://`` mean psycopg 3; platforms hand out both."""
    scheme, separator, rest = url.get_secret_value().partition("://")
    known = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
    scheme = known.get(scheme, scheme)
    if not separator or scheme not in ("sqlite", "postgresql+psycopg"):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    try:
        make_url(f"{scheme}://{rest}")
    except (ArgumentError, ValueError):
        # Not chained: the text would quote the address, and with it the password.
        raise ValueError("is no database address") from None
    return SecretStr(f"{scheme}://{rest}")


def _signing_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < SHORTEST_SECRET_KEY:
        raise ValueError(f"every key must have at least {SHORTEST_SECRET_KEY} characters")
    return key


def _fernet_key(key: SecretStr) -> SecretStr:
    try:
        Fernet(key.get_secret_value())
        # Base64 is read up to its padding: a second key after a line break would go unnoticed.
        if len(key.get_secret_value()) != FERNET_KEY_LENGTH:
            raise ValueError
    except ValueError:
        raise ValueError("every key must be a Fernet key: 32 bytes in URL-safe base64") from None
    return key


Address = Annotated[str, AfterValidator(_address)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split), Field(min_length=1)]
SigningKey = Annotated[SecretStr, AfterValidator(_signing_key)]
FernetKey = Annotated[SecretStr, AfterValidator(_fernet_key)]
Size = Annotated[int, Field(ge=1, le=1024)]


class Config(BaseModel):
    """What the operator decides. Secrets are ``SecretStr``: no repr, log or traceback shows them."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True)

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr(
        "sqlite:///var/dashboard.db"
    )
    secret_key: Annotated[tuple[SigningKey, ...], BeforeValidator(_split), Field(min_length=1)]
    token_keys: Annotated[tuple[FernetKey, ...], BeforeValidator(_split), Field(min_length=1)]
    bitrix24_client_id: Annotated[str, Field(min_length=1)]
    bitrix24_client_secret: Annotated[SecretStr, Field(min_length=1)]
    bitrix24_auth_servers: Origins = AUTHORIZATION_SERVERS  # type: ignore[assignment]  # split when validated
    public_url: Origin
    bx24_js_url: Address = "https://api.bitrix24.com/api/v1/"
    trust_loopback: bool = False
    allow_private_portals: bool = False
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    web_concurrency: Annotated[Size, Field(default_factory=lambda: min(4, os.cpu_count() or 1))]
    web_threads: Size = 8
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(lambda value: str(value).lower())
    ] = "info"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="before")
    @classmethod
    def _development_is_readable(cls, values: dict[str, Any]) -> dict[str, Any]:
        if str(values.get("trust_loopback", "")).lower() in SWITCHED_ON:
            return {"log_format": "console", **values}
        return values

    @model_validator(mode="after")
    def _production_is_safe(self) -> Config:
        if not self.trust_loopback:
            _refuse_plain_http("PUBLIC_URL", self.public_url)
            for server in self.bitrix24_auth_servers:
                _refuse_plain_http("BITRIX24_AUTH_SERVERS", server)
            _refuse_plain_http("BX24_JS_URL", self.bx24_js_url)
        elif self.public_url.startswith("https:"):
            raise ConfigError("TRUST_LOOPBACK: must be off where PUBLIC_URL is https")
        return self


def _refuse_plain_http(variable: str, address: str) -> None:
    if not address.lower().startswith("https:"):
        raise ConfigError(f"{variable}: must be https")


def load(environment: Mapping[str, str]) -> Config:
    """Return the configuration.

    :raise ConfigError: a variable is missing or bad; the message is one line that names it.
    """
    values = {
        name: value for name in Config.model_fields if (value := environment.get(name.upper(), "").strip())
    }
    for variable in MAY_BE_FILES:
        if path := environment.get(f"{variable}_FILE"):
            values[variable.lower()] = _read_file(f"{variable}_FILE", path)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{variable}: cannot be read ({type(error).__name__})") from None


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    if not first["loc"]:
        return str(first["msg"]).removeprefix("Value error, ")
    variable = str(first["loc"][0]).upper()
    reason = "must be set" if first["type"] in ("missing", "too_short") else first["msg"]
    return f"{variable}: {str(reason).removeprefix('Value error, ')}"
