"""Configuration, read once from the environment and refused by the variable's name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

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

MAY_BE_FILES = (
    "SECRET_KEY",
    "TOKEN_KEYS",
    "BITRIX24_CLIENT_SECRET",
    "DATABASE_URL",
    "QUEUE_URL",
    "METRICS_TOKEN",
)
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
AUTHORIZATION_SERVERS = "https://oauth.bitrix.info,https://oauth.bitrix24.tech,https://oauth.bitrix24.info"
SHORTEST_SECRET_KEY = 16


class ConfigError(ValueError):
    """One line that names the variable and says what is wrong with it; never the value."""


def _split(value: Any) -> Any:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as https://example.com")
    if parts.path.rstrip("/") or parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be an address without path, query and user")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _database_url(url: SecretStr) -> SecretStr:
    """Make ``postgres://`` and ``postgresql://`` mean psycopg 3; platforms hand out both."""
    scheme, separator, rest = url.get_secret_value().partition("://")
    known = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
    scheme = known.get(scheme, scheme)
    if not separator or scheme not in ("sqlite", "postgresql+psycopg"):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return SecretStr(f"{scheme}://{rest}")


def _signing_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < SHORTEST_SECRET_KEY:
        raise ValueError(f"every key must have at least {SHORTEST_SECRET_KEY} characters")
    return key


def _fernet_key(key: SecretStr) -> SecretStr:
    try:
        Fernet(key.get_secret_value())
    except ValueError:
        raise ValueError("every key must be a Fernet key: 32 bytes in URL-safe base64") from None
    return key


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
    bx24_js_url: str = "https://api.bitrix24.com/api/v1/"
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
        if str(values.get("trust_loopback", "")).lower() in ("1", "true", "on", "yes"):
            return {"log_format": "console", **values}
        return values

    @model_validator(mode="after")
    def _production_is_safe(self) -> Config:
        if not self.trust_loopback:
            _refuse_plain_http("PUBLIC_URL", self.public_url)
            for server in self.bitrix24_auth_servers:
                _refuse_plain_http("BITRIX24_AUTH_SERVERS", server)
        elif self.public_url.startswith("https:"):
            raise ConfigError("TRUST_LOOPBACK: must be off where PUBLIC_URL is https")
        script = urlsplit(self.bx24_js_url)
        if not script.hostname or (script.scheme != "https" and not self.trust_loopback):
            raise ConfigError("BX24_JS_URL: must be an https address")
        return self


def _refuse_plain_http(variable: str, origin: str) -> None:
    if not origin.startswith("https:"):
        raise ConfigError(f"{variable}: must be https")


def load(environment: Mapping[str, str]) -> Config:
    """Return the configuration.

    :raise ConfigError: a variable is missing or bad; the message is one line that names it.
    """
    values = {
        name: environment[name.upper()] for name in Config.model_fields if environment.get(name.upper())
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
