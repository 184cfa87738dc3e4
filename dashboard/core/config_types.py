"""Define types of environment variables. Each validates a value and explains an error without quoting the value."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from dashboard.core.encryption import is_fernet_key

MIN_KEY_LENGTH = 16
MIN_TOKEN_KEY_LENGTH = 32
MIN_DISTINCT_STEPS = 8  # differences between neighboring characters; 32 random digits have more, patterns have fewer
# Characters left over from copying a key out of a list, quotes or an assignment. With them, another key would be
# derived.
_PASTE_ARTIFACTS = re.compile(r"[\s\ufeff\"'`()\[\]{}<>;]|=(?!=*$)")
# Texts that documents and templates put where a key belongs.
_PLACEHOLDER = re.compile("change|secret|password|example|replace|placeholder", re.IGNORECASE)
DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse_database_url(url: SecretStr) -> SecretStr:
    """Return the URL with SQLAlchemy's driver name: ``postgres://`` and ``postgresql://`` mean psycopg 3.

    :raise ValueError: it is not a database URL; the message does not repeat it.
    """
    scheme, separator, location = url.get_secret_value().partition("://")
    if not separator or scheme not in DRIVERS:
        raise ValueError("must begin with sqlite:/// or postgresql://")
    address = f"{DRIVERS[scheme]}://{location}"
    try:
        parts = make_url(address)
    except (ArgumentError, ValueError):
        # Not chained: the parser's message quotes the URL and its password.
        raise ValueError("is not a database address") from None
    if scheme != "sqlite":
        _check_postgres_url(parts, location)
    return SecretStr(address)


def _check_postgres_url(url: URL, location: str) -> None:
    """Refuse parameters that libpq does not know, and a password that contains a raw @."""
    # SQLite needs no Postgres driver, which takes some megabytes.
    from psycopg.pq import Conninfo

    unknown = set(url.query) - {option.keyword.decode() for option in Conninfo.get_defaults()}
    # After a raw @ or ?, the rest of the password is parsed as a host, a database or a parameter: do not print it.
    if "@" in f"{url.host}{url.database}" or (unknown and location.count("@") > 1):
        raise ValueError("has a raw @ in user or password; write it as %40")
    if unknown:
        raise ValueError(f"has a parameter that Postgres does not know: {min(unknown)}")


def _default_folder(values: dict[str, SecretStr]) -> Path:
    url = make_url(values["database_url"].get_secret_value())
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)).parent if is_file else Path("var")


def _split_list(text: object) -> object:
    return tuple(part for item in text.split(",") if (part := item.strip())) if isinstance(text, str) else text


def _parse_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_valid = (
            parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not re.search(r"\s", url)
        )
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("must be an address such as https://example.com")
    return parts


def _check_url(url: str) -> str:
    _parse_url(url)
    return url


def _normalize_origin(url: str) -> str:
    """Return the origin as Bitrix24 would spell it: lower-case and without a default port."""
    parts = _parse_url(url)
    if parts.path.rstrip("/") or parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be an address without path, query and user")
    default_port = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default_port)}"


def _check_email(address: str) -> str:
    if address and not re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+", address):
        raise ValueError("must be an e-mail address")
    return address


def _check_key_length(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < MIN_KEY_LENGTH:
        raise ValueError(f"every key must have at least {MIN_KEY_LENGTH} characters")
    return key


def _check_token_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if is_fernet_key(text):
        return key
    if len(text) < MIN_TOKEN_KEY_LENGTH:
        raise ValueError(f"every key must be a Fernet key, or random text of {MIN_TOKEN_KEY_LENGTH} characters or more")
    if _PASTE_ARTIFACTS.search(text):
        raise ValueError("no key may contain spaces, quotes, brackets or semicolons, or `=` except at its end")
    if _is_guessable(text):
        raise ValueError("every key must be random; this one has a pattern or is a placeholder")
    return key


def _is_guessable(text: str) -> bool:
    """Tell whether a text is a placeholder, repeats itself or counts up, as no random text does."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return bool(_PLACEHOLDER.search(text)) or len(steps) < MIN_DISTINCT_STEPS or text in (text + text)[1:-1]


Address = Annotated[str, AfterValidator(_check_url)]
Origin = Annotated[str, AfterValidator(_normalize_origin)]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split_list), Field(min_length=1)]
BearerToken = Annotated[SecretStr, AfterValidator(_check_key_length)]
SigningKeys = Annotated[tuple[BearerToken, ...], BeforeValidator(_split_list), Field(min_length=1)]
TokenKeys = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_check_token_key)], ...],
    BeforeValidator(_split_list),
    Field(min_length=1),
]
DatabaseURL = Annotated[SecretStr, AfterValidator(parse_database_url)]
Folder = Annotated[Path, Field(default_factory=_default_folder)]
Email = Annotated[str, AfterValidator(_check_email)]
Count = Annotated[int, Field(ge=1, le=1024)]
