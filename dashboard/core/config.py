"""Read the configuration from environment variables and from the files that `<VARIABLE>_FILE` names."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

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
COMPLETE_MESSAGE = "complete_message"  # the type of an error whose message names its variables
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]


class ConfigError(ValueError):
    """Variables are missing or wrong; the message has a line for each that begins with its name, without its value."""


class Config(BaseModel):
    """The variables an operator sets. The descriptions are the table in docs/operate.md."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, validate_default=True)

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
    app_name: str = Field(
        "Team Hours", max_length=120, description="its name in `/terms`, word for word as on the Market card"
    )
    vendor_name: str = Field(
        "",
        max_length=120,
        description="for `/privacy` and `/terms`: the legal entity that runs it, spelled as in the vendor console",
    )
    vendor_email: Email = Field("", description="where people write to, for the same two pages")
    log_level: LogLevel = Field("info", description="what is logged on stderr: `debug`, `info`, `warning` or `error`")
    log_format: Literal["json", "console"] = Field(
        "json", description="`json`, or `console` for reading by eye (the default in development)"
    )
    trust_loopback: bool = Field(
        False, description="development and tests only: accept http and loopback; refused where `PUBLIC_URL` is https"
    )

    def __init__(self, environment: Mapping[str, str]) -> None:
        variables = {name: environment.get(name.upper(), "").strip() for name in Config.model_fields}
        super().__init__(**{name: value for name, value in variables.items() if value})  # a blank one counts as absent

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

    @field_validator("metrics_port")
    @classmethod
    def _require_metrics_token(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port is not None and info.data.get("metrics_token", port) is None:
            raise ValueError("needs METRICS_TOKEN")
        return port

    @field_validator("trust_loopback")
    @classmethod
    def _require_https(cls, trust_loopback: bool, info: ValidationInfo) -> bool:
        """Check the addresses with the last field: ``info.data`` has those before it that are valid by themselves."""
        if trust_loopback:
            if info.data.get("public_url", "").startswith("https:"):
                raise ValueError("must be off where PUBLIC_URL is https")
            return True
        addresses = {
            "PUBLIC_URL": (info.data.get("public_url"),),
            "BITRIX24_AUTH_SERVERS": info.data.get("bitrix24_auth_servers", ()),
            "BX24_JS_URL": (info.data.get("bx24_js_url"),),
        }
        if plain := [name for name, urls in addresses.items() if any(map(_is_plain_http, urls))]:
            raise PydanticCustomError(COMPLETE_MESSAGE, "\n".join(f"{name}: must be https" for name in plain))
        return False


def load(environment: Mapping[str, str]) -> Config:
    """Return the configuration.

    :raise ConfigError: variables are missing or wrong; it names all of them.
    """
    files = {name: path for name in FILE_VARIABLES if (path := environment.get(f"{name}_FILE"))}
    contents, problems = dict[str, str](), dict[str, str]()
    for name, path in files.items():
        try:
            contents[name] = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems[name] = f"{name}_FILE: cannot be read ({type(error).__name__})"
    try:
        config = Config({**environment, **contents})
    except ValidationError as error:
        problems = {**_messages(error), **problems}
    if problems:
        raise ConfigError("\n".join(problems.values()))
    return config


def load_or_exit(environment: Mapping[str, str]) -> Config:
    """Return the configuration, or print what is wrong with it and end the process."""
    try:
        return load(environment)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        # The systemd units do not restart a service that exits with this code, because it would fail again.
        sys.exit(os.EX_CONFIG)


def ignored_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that are set and no longer used."""
    return tuple(name for name in IGNORED_VARIABLES if environment.get(name))


def _is_plain_http(url: str | None) -> bool:
    return url is not None and not url.lower().startswith("https:")


def _messages(error: ValidationError) -> dict[str, str]:
    """Return a message for each variable, by its name."""
    messages = dict[str, str]()
    for problem in error.errors(include_input=False, include_url=False):
        if problem["type"] == "default_factory_not_called":
            continue  # the default depends on another variable, which has an error of its own
        name = str(problem["loc"][0]).upper()
        reason = "must be set" if problem["type"] in ("missing", "too_short") else problem["msg"]
        message = f"{name}: {reason.removeprefix('Value error, ')}"
        messages.setdefault(name, problem["msg"] if problem["type"] == COMPLETE_MESSAGE else message)
    return messages
