"""What a variable of the environment may hold: each kind reads itself and says in words what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from cryptography.fernet import Fernet
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

MIN_SECRET_KEY_LENGTH = 16
FERNET_KEY_LENGTH = 44


@dataclass(frozen=True)
class VariableHelp:
    """What a variable is for, in the words of the operator's table; ``default`` where no value says it."""

    words: str
    default: str | None = None


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


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


def parse_database_url(url: SecretStr) -> SecretStr:
    """Return the address as SQLAlchemy takes it: ``postgres://`` and ``postgresql://`` both mean psycopg 3.

    :raise ValueError: it is none; the message does not repeat it.
    """
    scheme, separator, rest = url.get_secret_value().partition("://")
    known = {"sqlite": "sqlite", "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
    known |= {"postgresql+psycopg": "postgresql+psycopg"}
    if not separator or scheme not in known:
        raise ValueError("must begin with sqlite:/// or postgresql://")
    scheme = known[scheme]
    try:
        address = make_url(f"{scheme}://{rest}")
    except (ArgumentError, ValueError):
        # Not chained: the text would quote the address, and with it the password.
        raise ValueError("is no database address") from None
    if address.get_backend_name() == "postgresql":
        _check_parameters(address, rest)
    return SecretStr(f"{scheme}://{rest}")


def folder_beside(database_url: SecretStr) -> Path:
    """Return the folder for local files: the SQLite database's, else the one it has by default."""
    url = make_url(database_url.get_secret_value())
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)).parent if is_file else Path("var")


def _check_parameters(address: URL, rest: str) -> None:
    """Refuse what libpq would refuse at each connection, and a password that was cut in two."""
    # The driver is heavy, and SQLite does without it.
    from psycopg.pq import Conninfo

    unknown = set(address.query) - {one.keyword.decode() for one in Conninfo.get_defaults()}
    parts = (address.host or "", address.database or "")
    # A name may be a part of the password too, so it is only told where there was one @ to cut at.
    if any("@" in part for part in parts) or (unknown and rest.count("@") > 1):
        raise ValueError("has a raw @ in user or password; write it as %40")
    if unknown:
        raise ValueError(f"has a parameter that Postgres does not know: {min(unknown)}")


def _email(address: str) -> str:
    if address and not re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+", address):
        raise ValueError("must be an e-mail address")
    return address


def _bearer(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < MIN_SECRET_KEY_LENGTH:
        raise ValueError(f"must have at least {MIN_SECRET_KEY_LENGTH} characters")
    return token


def _signing_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < MIN_SECRET_KEY_LENGTH:
        raise ValueError(f"every key must have at least {MIN_SECRET_KEY_LENGTH} characters")
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
SigningKeys = Annotated[tuple[SigningKey, ...], BeforeValidator(_split), Field(min_length=1)]
FernetKey = Annotated[SecretStr, AfterValidator(_fernet_key)]
FernetKeys = Annotated[tuple[FernetKey, ...], BeforeValidator(_split), Field(min_length=1)]
DatabaseURL = Annotated[SecretStr, AfterValidator(parse_database_url)]
Folder = Annotated[Path, Field(default_factory=lambda known: folder_beside(known["database_url"]))]
BearerToken = Annotated[SecretStr, AfterValidator(_bearer)]
Email = Annotated[str, AfterValidator(_email)]
Size = Annotated[int, Field(ge=1, le=1024)]
