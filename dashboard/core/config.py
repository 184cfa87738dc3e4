"""Configuration, read once from the environment and refused by the variable's name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from dashboard.core.config_types import (
    Address,
    BearerToken,
    DatabaseURL,
    Email,
    FernetKeys,
    Folder,
    Origin,
    Origins,
    SigningKeys,
    Size,
    VariableHelp,
)

FILE_VARIABLES = (
    "SECRET_KEY",
    "TOKEN_KEYS",
    "BITRIX24_CLIENT_SECRET",
    "DATABASE_URL",
    "METRICS_TOKEN",
)
# Variables of the version before, which still stand in its environments.
IGNORED_VARIABLES = ("QUEUE_URL", "QUEUE_URL_FILE")
AUTHORIZATION_SERVERS = "https://oauth.bitrix.info,https://oauth.bitrix24.tech,https://oauth.bitrix24.info"
ENABLED_SWITCHES = ("1", "true", "t", "on", "yes", "y")


class ConfigError(ValueError):
    """One line that names the variable and says what is wrong with it; never the value."""


class Config(BaseModel):
    """What the operator decides. Secrets are ``SecretStr``: no repr, log or traceback shows them."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True)

    bitrix24_client_id: Annotated[
        str, Field(min_length=1), VariableHelp("the application's identifier, from the vendor console")
    ]
    bitrix24_client_secret: Annotated[
        SecretStr, Field(min_length=1), VariableHelp("the application's key, from the vendor console")
    ]
    public_url: Annotated[Origin, VariableHelp("its own https address; the addresses in the console begin with it")]
    secret_key: Annotated[
        SigningKeys, VariableHelp("signs session tokens; a comma-separated list, the first signs, all verify")
    ]
    token_keys: Annotated[
        FernetKeys, VariableHelp("Fernet keys that seal tokens, comma-separated; the first seals, all open")
    ]
    database_url: Annotated[DatabaseURL, VariableHelp("`sqlite:///…` on a local disk, or `postgresql://…`")] = (
        SecretStr("sqlite:///var/dashboard.db")
    )
    state_directory: Annotated[
        Folder,
        VariableHelp(
            "folder for what must outlive a restart while the database is away",
            default="the SQLite database's folder, else `var`",
        ),
    ]
    bitrix24_auth_servers: Annotated[
        Origins, VariableHelp("the only addresses that ever see the client secret; the first is the default")
    ] = AUTHORIZATION_SERVERS  # type: ignore[assignment]  # split when validated
    bx24_js_url: Annotated[Address, VariableHelp("Bitrix24's frame library")] = "https://api.bitrix24.com/api/v1/"
    allow_private_portals: Annotated[
        bool, VariableHelp("allow self-hosted portals on private addresses; https is still required")
    ] = False
    trusted_proxies: Annotated[
        int,
        Field(ge=0, le=10),
        VariableHelp("how many proxies in front add to `X-Forwarded-For`; 0 believes the connection's own address"),
    ] = 0
    port: Annotated[int, Field(ge=1, le=65535), VariableHelp("where the web process listens")] = 8000
    web_concurrency: Annotated[
        Size,
        Field(default_factory=lambda: min(4, os.cpu_count() or 1)),
        VariableHelp("web processes", default="by cores, at most 4"),
    ]
    web_threads: Annotated[Size, VariableHelp("threads in each web process")] = 8
    worker_threads: Annotated[Size, VariableHelp("portals that one worker reads at the same time")] = 8
    metrics_token: Annotated[
        BearerToken | None,
        VariableHelp("bearer token for `/metrics`, at least 16 characters; without it `/metrics` is 404"),
    ] = None
    vendor_name: Annotated[
        str,
        Field(max_length=120),
        VariableHelp("who runs the application, as `/privacy` and `/terms` name them"),
    ] = ""
    vendor_email: Annotated[Email, VariableHelp("where people write to, on the same two pages")] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: str(value).lower()),
        VariableHelp("how much is logged on stderr: `debug`, `info`, `warning` or `error`"),
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"],
        VariableHelp("`json`, or `console` for reading by eye (the default in development)"),
    ] = "json"
    trust_loopback: Annotated[
        bool,
        VariableHelp("development and tests only: accepts http and loopback; refused where `PUBLIC_URL` is https"),
    ] = False

    @property
    def fingerprint(self) -> str:
        """Return what tells this installation from any other, and nobody what it is made of."""
        return hashlib.sha256(f"{self.bitrix24_client_id}\n{self.public_url}".encode()).hexdigest()[:32]

    @model_validator(mode="before")
    @classmethod
    def _development_is_readable(cls, values: dict[str, Any]) -> dict[str, Any]:
        if str(values.get("trust_loopback", "")).lower() in ENABLED_SWITCHES:
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


def variables() -> Iterator[tuple[str, str, str]]:
    """Yield each variable's name, its default in words, and what it means."""
    for name, field in Config.model_fields.items():
        (means,) = (one for one in field.metadata if isinstance(one, VariableHelp))
        yield name.upper(), means.default or _default_of(field), means.words


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default()
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{value}`" if value not in (None, "") else "none"


def _refuse_plain_http(variable: str, address: str) -> None:
    if not address.lower().startswith("https:"):
        raise ConfigError(f"{variable}: must be https")


def load(environment: Mapping[str, str]) -> Config:
    """Return the configuration.

    :raise ConfigError: a variable is missing or bad; the message is one line that names it.
    """
    values = {name: value for name in Config.model_fields if (value := environment.get(name.upper(), "").strip())}
    for variable in FILE_VARIABLES:
        if path := environment.get(f"{variable}_FILE"):
            values[variable.lower()] = _read_file(f"{variable}_FILE", path)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def ignored(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that are set and no longer used."""
    return tuple(name for name in IGNORED_VARIABLES if environment.get(name))


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
