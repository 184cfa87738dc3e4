"""Read the configuration from environment variables and from the files that `<VARIABLE>_FILE` names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from dashboard.core.config_types import (
    Address,
    BearerToken,
    Count,
    DatabaseURL,
    Email,
    Folder,
    Origin,
    Origins,
    SigningKeys,
    TokenKeys,
)

FILE_VARIABLES = ("SECRET_KEY", "TOKEN_KEYS", "BITRIX24_CLIENT_SECRET", "DATABASE_URL", "METRICS_TOKEN")
# The previous version used these, so they may still be set.
IGNORED_VARIABLES = ("QUEUE_URL", "QUEUE_URL_FILE")
AUTHORIZATION_SERVERS = ("https://oauth.bitrix.info", "https://oauth.bitrix24.tech", "https://oauth.bitrix24.info")
TRUE_VALUES = ("1", "true", "t", "on", "yes", "y")  # as pydantic reads them
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]


class ConfigError(ValueError):
    """A variable is missing or wrong; the message is one line that begins with its name, without its value."""


class Config(BaseSettings):
    """The variables an operator sets. The descriptions are the table in docs/operate.md."""

    model_config = SettingsConfigDict(
        frozen=True,
        hide_input_in_errors=True,
        enable_decoding=False,  # lists are separated by commas, not written as JSON
    )

    bitrix24_client_id: str = Field(min_length=1, description="the application's id, from the vendor console")
    bitrix24_client_secret: SecretStr = Field(min_length=1, description="its secret key, from the vendor console")
    public_url: Origin = Field(description="its own https address; the addresses in the vendor console begin with it")
    secret_key: SigningKeys = Field(description="signs session tokens; comma-separated: the first signs, all verify")
    token_keys: TokenKeys = Field(
        description="each a Fernet key, or random text of 32 characters or more; comma-separated: the first encrypts "
        "tokens, all decrypt"
    )
    database_url: DatabaseURL = Field(
        SecretStr("sqlite:///var/dashboard.db"), description="`sqlite:///…` on a local disk, or `postgresql://…`"
    )
    state_directory: Folder = Field(
        description="keeps events while the database is unavailable; default: the SQLite file's folder, or `var`"
    )
    bitrix24_auth_servers: Origins = Field(
        AUTHORIZATION_SERVERS, description="the only addresses that get the client secret; the first is the default"
    )
    bx24_js_url: Address = Field("https://api.bitrix24.com/api/v1/", description="Bitrix24's JavaScript library")
    allow_private_portals: bool = Field(False, description="allow self-hosted portals on private addresses, by https")
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="number of proxies in front that add to `X-Forwarded-For`; 0 ignores the header"
    )
    port: int = Field(8000, ge=1, le=65535, description="port of the web process")
    web_concurrency: Count = Field(
        default_factory=lambda: min(4, os.cpu_count() or 1),
        description="web processes; by default one per core, at most 4",
    )
    web_threads: Count = Field(8, description="threads in each web process")
    worker_threads: Count = Field(8, description="portals that one worker synchronizes at the same time")
    metrics_token: BearerToken | None = Field(
        None, description="bearer token for `/metrics`, at least 16 characters; without it `/metrics` is 404"
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port at which a worker serves its own `/metrics`; needs `METRICS_TOKEN`"
    )
    vendor_name: str = Field("", max_length=120, description="who runs the application, for `/privacy` and `/terms`")
    vendor_email: Email = Field("", description="where people write to, for the same two pages")
    log_level: LogLevel = Field("info", description="what is logged on stderr: `debug`, `info`, `warning` or `error`")
    log_format: Literal["json", "console"] = Field(
        "json", description="`json`, or `console` for reading by eye (the default in development)"
    )
    trust_loopback: bool = Field(
        False, description="development and tests only: accept http and loopback; refused where `PUBLIC_URL` is https"
    )

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(_build_sources=((_Environment(environment),), {}))

    @property
    def fingerprint(self) -> str:
        """Return a hash that tells this installation from others without revealing its settings."""
        return hashlib.sha256(f"{self.bitrix24_client_id}\n{self.public_url}".encode()).hexdigest()[:32]

    @model_validator(mode="before")
    @classmethod
    def _default_to_console_log(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("trust_loopback", "").lower() in TRUE_VALUES:
            return {"log_format": "console", **values}
        return values

    @model_validator(mode="after")
    def _require_https(self) -> Config:
        if self.trust_loopback:
            if self.public_url.startswith("https:"):
                raise ValueError("TRUST_LOOPBACK: must be off where PUBLIC_URL is https")
            return self
        addresses = [("PUBLIC_URL", self.public_url), ("BX24_JS_URL", self.bx24_js_url)]
        addresses += [("BITRIX24_AUTH_SERVERS", server) for server in self.bitrix24_auth_servers]
        for variable, address in addresses:
            if not address.lower().startswith("https:"):
                raise ValueError(f"{variable}: must be https")
        return self

    @model_validator(mode="after")
    def _require_metrics_token(self) -> Config:
        if self.metrics_port is not None and self.metrics_token is None:
            raise ValueError("METRICS_PORT: needs METRICS_TOKEN")
        return self


class _Environment(EnvSettingsSource):
    """Take the values from a mapping; a blank variable counts as absent."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(Config)
        files = {name: path for name in FILE_VARIABLES if (path := environment.get(f"{name}_FILE"))}
        variables = {**environment, **{name: _read_file(f"{name}_FILE", path) for name, path in files.items()}}
        self.env_vars = {
            name: value for name in Config.model_fields if (value := variables.get(name.upper(), "").strip())
        }


def load(environment: Mapping[str, str]) -> Config:
    """Return the configuration.

    :raise ConfigError: a variable is missing or wrong.
    """
    try:
        return Config(environment)
    except ValidationError as error:
        raise ConfigError(_first_error_message(error)) from None


def ignored_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that are set and no longer used."""
    return tuple(name for name in IGNORED_VARIABLES if environment.get(name))


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{variable}: cannot be read ({type(error).__name__})") from None


def _first_error_message(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    reason = "must be set" if first["type"] in ("missing", "too_short") else first["msg"].removeprefix("Value error, ")
    # An error of the whole model has no location and names the variable itself.
    return f"{str(first['loc'][0]).upper()}: {reason}" if first["loc"] else reason
