"""`doctor`: check whether everything works, and say how to fix each problem."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import click
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from dashboard.commands import checks, network_checks, output, portal_check
from dashboard.commands.checks import CheckResult, good, warning, wrong
from dashboard.commands.context import OperatorCommand, find_portal, services
from dashboard.core import migrations
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.core.database_errors import describe
from dashboard.core.encryption import DecryptionError, TokenEncryption
from dashboard.services import Services
from dashboard.tokens.key_rotation import ENCRYPTED_COLUMNS

KEY_SAMPLE_SIZE = 100


@click.command("doctor", cls=OperatorCommand)
@click.option("--portal", metavar="MEMBER_OR_NUMBER", help="Check only whether this portal can be reached.")
@output.as_json
@with_appcontext
def command(portal: str | None, as_json: bool) -> None:
    """Check configuration, database, keys, worker, PUBLIC_URL, clock and authorization servers.

    Exits with 1 if anything is wrong, and prints "not checked" if a check proves nothing. It changes nothing,
    sends the client secret only to the authorization servers, and prints no secret.
    """
    if portal is not None:
        results = portal_check.check_portal(find_portal(portal), services().installations)
    else:
        results = _check_all(services())
    checks.print_report(results, as_json=as_json)


def _check_all(parts: Services) -> Iterator[CheckResult]:
    yield from _check_configuration(parts.config)
    yield from _check_database(parts)
    yield from network_checks.check_own_address(parts.config, parts.throttle)
    yield from network_checks.check_authorization_servers(parts.authorization_servers, now=parts.now)


def _check_configuration(config: Config) -> Iterator[CheckResult]:
    yield good("configuration", f"complete, for {config.public_url}")
    if not (config.vendor_name and config.vendor_email):
        advice = "Set VENDOR_NAME and VENDOR_EMAIL; the Market refuses an application without them."
        yield warning("vendor", "/privacy and /terms name nobody to ask", advice)
    url = make_url(config.database_url.get_secret_value())
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    if file and file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o007:
        yield warning("database file", "every user of this machine can open it", f"chmod o= {file}")


def _check_database(parts: Services) -> Iterator[CheckResult]:
    try:
        missing_privileges = migrations.missing_privileges(parts.database)
        revision = None if missing_privileges else migrations.revision(parts.database)
    except SQLAlchemyError as error:
        advice = "Check DATABASE_URL, and that the server runs and accepts this machine."
        yield wrong("database", describe(error), advice)
        return
    yield good("database", "answers")
    if missing_privileges:
        advice = "GRANT them to the role in DATABASE_URL, or make it the owner; then run `flask --app app db upgrade`."
        yield wrong("privileges", f"the role lacks {', '.join(missing_privileges)}", advice)
        return
    missing = migrations.missing_columns(parts.database)
    message = f"the schema is at {revision or 'no revision'}"
    if not migrations.is_compatible(parts.database):
        advice = "Run `flask --app app db upgrade`, or start the version that fits the database."
        lacks = f"the schema lacks {', '.join(missing)}" if revision and missing else message
        yield wrong("migrations", lacks, advice)
        return
    yield good("migrations", message)
    yield _check_token_keys(parts.database, parts.encryption)
    readiness = parts.readiness.check()
    if "database" in readiness.down:
        advice = "Free space on its disk, or find out why it is locked or read-only."
        yield wrong("writing", "the database cannot be written to", advice)
        return
    yield good("writing", "the database can be written to")
    if "worker" in readiness.warnings:
        advice = "Start the worker of the Procfile; without it nobody is updated in the background."
        yield warning("worker", "no heartbeat for two minutes", advice)
    else:
        yield good("worker", "runs")


def _check_token_keys(database: Database, encryption: TokenEncryption) -> CheckResult:
    """Decrypt a sample of the stored secrets: the oldest and newest of each kind."""
    sample = _sample_ciphertexts(database)
    unreadable = sum(not _can_decrypt(ciphertext, encryption) for ciphertext in sample)
    if unreadable:
        message = f"{unreadable} of {len(sample)} encrypted values cannot be decrypted"
        advice = "Put the key that encrypted them back into TOKEN_KEYS; without it people must reconnect."
        return wrong("token keys", message, advice)
    older = sum(not encryption.uses_first_key(ciphertext) for ciphertext in sample)
    if older:
        advice = "Run `flask --app app tokens rotate-keys` before you remove that key."
        return warning("token keys", f"{older} of {len(sample)} encrypted values need an older key", advice)
    return good("token keys", f"decrypt all {len(sample)} stored values that were tried")


def _sample_ciphertexts(database: Database) -> set[str]:
    sample: set[str] = set()
    with database.read_session() as session:
        for column in ENCRYPTED_COLUMNS:
            (key,) = column.class_.__mapper__.primary_key
            for order in (key.asc(), key.desc()):
                query = select(column).where(column.is_not(None)).order_by(order).limit(KEY_SAMPLE_SIZE)
                sample |= {str(ciphertext) for ciphertext in session.scalars(query)}
    return sample


def _can_decrypt(ciphertext: str, encryption: TokenEncryption) -> bool:
    try:
        encryption.reencrypt(ciphertext)
    except DecryptionError:
        return False
    return True
