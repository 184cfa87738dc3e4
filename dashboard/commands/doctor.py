"""`doctor`: is everything in order, what is not, and how to mend it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.commands import findings, network_checks, output, portal_check
from dashboard.commands.findings import CheckResult
from dashboard.commands.found import find_portal_by_name
from dashboard.core import migrations
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.core.database_errors import describe
from dashboard.core.encryption import DecryptionError, TokenEncryption
from dashboard.monitoring.readiness import ReadinessProbe
from dashboard.portals.installations import Installations
from dashboard.portals.throttle import Throttle
from dashboard.tokens.key_rotation import ENCRYPTED_COLUMNS

KEY_SAMPLE_SIZE = 100


def command(
    config: Config,
    *,
    database: Database,
    portals: Installations,
    probe: ReadinessProbe,
    servers: AuthorizationServers,
    throttle: Throttle,
    now: Callable[[], datetime],
) -> click.Command:
    """Return the command."""

    @click.command("doctor")
    @click.option("--portal", "named", metavar="MEMBER_OR_ID", help="Check whether this portal can be reached.")
    @output.as_json
    def doctor(named: str | None, as_json: bool) -> None:
        """Check configuration, database, keys, worker, PUBLIC_URL, clock and authorization servers.

        With --portal, check that one portal alone.

        Exits with 1 where something is wrong, and says "not checked" where nothing was proven. Nothing is
        changed; the client secret is sent to the authorization servers alone, and no secret is shown.
        """
        if named is not None:
            findings.print_report(
                portal_check.check(find_portal_by_name(database, portals, named), portals), as_json=as_json
            )
            return
        found = [
            *_configuration(config),
            *_database(config, database=database, probe=probe),
            *_network(config, servers=servers, throttle=throttle, now=now),
        ]
        findings.print_report(found, as_json=as_json)

    return doctor


def _database(config: Config, *, database: Database, probe: ReadinessProbe) -> Iterator[CheckResult]:
    try:
        revision = migrations.revision(database)
    except SQLAlchemyError as error:
        yield CheckResult(
            "database",
            "wrong",
            describe(error),
            "Check DATABASE_URL, that the server runs and lets this machine in.",
        )
    else:
        yield CheckResult("database", "good", "answers")
        yield from _store(config, database, revision, probe)


def _network(
    config: Config, *, servers: AuthorizationServers, throttle: Throttle, now: Callable[[], datetime]
) -> Iterator[CheckResult]:
    yield from network_checks.own_address(config, throttle)
    yield from network_checks.authorization_servers(servers, now=now)


def _configuration(config: Config) -> Iterator[CheckResult]:
    yield CheckResult("configuration", "good", f"complete, for {config.public_url}")
    if not (config.vendor_name and config.vendor_email):
        yield CheckResult(
            "vendor",
            "warning",
            "/privacy and /terms name nobody to ask",
            "Set VENDOR_NAME and VENDOR_EMAIL; the Market refuses a card without them.",
        )
    url = make_url(config.database_url.get_secret_value())
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    if file and file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o007:
        yield CheckResult(
            "database file",
            "warning",
            "can be opened by everybody on this machine",
            f"chmod o= {file}",
        )


def _store(config: Config, database: Database, revision: str | None, probe: ReadinessProbe) -> Iterator[CheckResult]:
    stands, lacks = f"the schema stands at {revision or 'nothing'}", migrations.missing_columns(database)
    if not migrations.is_compatible(database):
        mend = "Run `flask --app app db upgrade`, or start the version that fits the database."
        says = f"the schema lacks {', '.join(lacks)}" if revision and lacks else stands
        yield CheckResult("migrations", "wrong", says, mend)
        return
    yield CheckResult("migrations", "good", stands)
    yield _keys(config, database)
    readiness = probe.check()
    if "database" in readiness.down:
        mend = "Make room on its disk, or see why it is locked or read-only."
        yield CheckResult("writing", "wrong", "the database stores nothing", mend)
    else:
        yield CheckResult("writing", "good", "the database stores what it is given")
    if "worker" in readiness.warnings:
        mend = "Start the worker of the Procfile; without it nobody is read in the background."
        yield CheckResult("worker", "warning", "has shown no sign of life for two minutes", mend)
    else:
        yield CheckResult("worker", "good", "is alive")


def _keys(config: Config, database: Database) -> CheckResult:
    """Try the keys on a sample of what is stored: the oldest and the newest values of each kind."""
    encryption, sealed = TokenEncryption(config.token_keys), list(_check_encryption(database))
    unreadable = [one for one in sealed if not _can_decrypt(one, encryption)]
    if unreadable:
        return CheckResult(
            "token keys",
            "wrong",
            f"{len(unreadable)} of {len(sealed)} sealed values open with none of them",
            "Put the key they were sealed with back into TOKEN_KEYS; without it people must reconnect.",
        )
    older = [one for one in sealed if not encryption.is_newest(one)]
    if older:
        return CheckResult(
            "token keys",
            "warning",
            f"{len(older)} of {len(sealed)} sealed values need an older key",
            "Run `flask --app app tokens rotate-keys` before taking that key away.",
        )
    return CheckResult("token keys", "good", f"open what is stored ({len(sealed)} values tried)")


def _check_encryption(database: Database) -> set[str]:
    found: set[str] = set()
    with database.read_session() as session:
        for column in ENCRYPTED_COLUMNS:
            (key,) = column.class_.__mapper__.primary_key
            for order in (key.asc(), key.desc()):
                chosen = select(column).where(column.is_not(None)).order_by(order).limit(KEY_SAMPLE_SIZE)
                found |= {str(one) for one in session.scalars(chosen)}
    return found


def _can_decrypt(ciphertext: str, encryption: TokenEncryption) -> bool:
    try:
        encryption.reencrypt(ciphertext)
    except DecryptionError:
        return False
    return True
