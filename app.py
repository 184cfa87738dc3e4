"""Joins the parts; the only file that knows them all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from flask import Flask

from dashboard.bitrix24.address_policy import Reach
from dashboard.bitrix24.http import Exchange
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import Transport
from dashboard.commands import register, worker
from dashboard.core import config, logging_setup
from dashboard.core.config import Config, ConfigError
from dashboard.core.database import Database
from dashboard.core.encryption import Vault
from dashboard.launch.event_spool import EventSpool
from dashboard.launch.events import Events
from dashboard.launch.openings import Openings
from dashboard.monitoring.metrics import Tallies
from dashboard.monitoring.readiness import Probe
from dashboard.people.accounts import People
from dashboard.people.directory import Directory
from dashboard.people.permission_checks import PermissionChecks
from dashboard.people.snapshots import Readings
from dashboard.portals.call_log import CallLog
from dashboard.portals.installations import Portals
from dashboard.portals.throttle import Refusals
from dashboard.sync.engine import Sync
from dashboard.sync.periodic_tasks import Chores
from dashboard.sync.runs import Runs
from dashboard.tokens.refresh import LiveTokens
from dashboard.tokens.store import Chains
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.proof_throttle import Guard
from dashboard.web.auth.sessions import Sessions
from dashboard.web.errors import error_labels, handlers
from dashboard.web.http import request_hooks, security_headers, static_files
from dashboard.web.http.templating import Templates
from dashboard.web.i18n import translations
from dashboard.web.presenters import filters, setting_display, team_row
from dashboard.web.views import (
    admin,
    admin_calls,
    admin_data,
    health,
    hooks,
    insight_people,
    insights,
    legal,
    metrics,
    my_settings,
    styleguide,
    team,
    team_export,
    team_sync,
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """What works behind the pages, the commands and the worker."""

    database: Database
    vault: Vault
    tallies: Tallies
    exchange: Exchange
    servers: AuthorizationServers
    portals: Portals
    events: Events
    spool: EventSpool
    openings: Openings
    readings: Readings
    refusals: Refusals
    permission_checks: PermissionChecks
    runs: Runs
    sync: Sync
    chores: Chores


def create_app(
    settings: Config | None = None,
    *,
    database: Database | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Flask:
    """Return the application. Nothing is asked of the database or the network before the first request.

    :raise SystemExit: the configuration is missing something; the message is one line.
    """
    settings = settings or _configured()
    logging_setup.configure(level=settings.log_level, style=settings.log_format)
    for variable in config.ignored(os.environ):
        log.warning("variable_ignored", variable=variable, hint="It is no longer used; take it away.")
    parts = assemble(settings, database=database, now=now)
    sessions = Sessions(parts.database, settings.secret_key)
    permissions = Permissions(parts.database, parts.permission_checks)
    team_pages = team.TeamPages(database=parts.database, runs=parts.runs, now=now)

    app = request_hooks.Application(__name__, static_folder=None)
    app.jinja_environment = Templates
    # Else `/me//refresh` is answered with a redirect to whatever Host was named, by http behind a proxy.
    app.url_map.merge_slashes = False
    static_files.install(app, static_files.Assets(watch=settings.trust_loopback))
    translations.install(app.jinja_env)
    filters.install(app.jinja_env)
    team_row.install(app.jinja_env)
    setting_display.install(app.jinja_env)
    error_labels.install(app.jinja_env)
    request_hooks.install(app)
    security_headers.install(
        app, script_url=settings.bx24_js_url, https=settings.public_url.startswith("https:")
    )
    handlers.install(app)
    if settings.trust_loopback:
        app.register_blueprint(styleguide.blueprint())
    app.register_blueprint(
        hooks.blueprint(
            settings,
            openings=parts.openings,
            events=parts.events,
            spool=parts.spool,
            portals=parts.portals,
            sessions=sessions,
            guard=Guard(parts.refusals, proxies=settings.trusted_proxies, now=now),
            team_pages=team_pages,
        )
    )
    app.register_blueprint(my_settings.blueprint(readings=parts.readings, sessions=sessions))
    app.register_blueprint(team.blueprint(pages=team_pages, sessions=sessions, permissions=permissions))
    app.register_blueprint(
        insights.blueprint(database=parts.database, now=now, sessions=sessions, permissions=permissions)
    )
    app.register_blueprint(
        team_sync.blueprint(runs=parts.runs, now=now, sessions=sessions, permissions=permissions)
    )
    app.register_blueprint(
        team_export.blueprint(database=parts.database, now=now, sessions=sessions, permissions=permissions)
    )
    for part in (insight_people, admin, admin_calls, admin_data):
        app.register_blueprint(
            part.blueprint(database=parts.database, now=now, sessions=sessions, permissions=permissions)
        )
    probe = Probe(database=parts.database, now=now)
    app.register_blueprint(health.blueprint(probe, fingerprint=settings.fingerprint))
    app.register_blueprint(legal.blueprint(settings))
    metrics.count_requests(app, parts.tallies)
    app.register_blueprint(
        metrics.blueprint(settings.metrics_token, database=parts.database, counts=parts.tallies, now=now)
    )
    # For the server, which starts it in each of its processes.
    app.extensions["event_spool"] = parts.spool
    app.cli.add_command(
        worker.command(
            settings,
            database=parts.database,
            spool=parts.spool,
            sync=parts.sync,
            runs=parts.runs,
            chores=parts.chores,
            tallies=parts.tallies,
        )
    )
    register.install(
        app,
        settings,
        database=parts.database,
        vault=parts.vault,
        portals=parts.portals,
        synchronisations=parts.runs,
        exchange=parts.exchange,
        servers=parts.servers,
        probe=probe,
        refusals=parts.refusals,
        now=now,
    )
    return app


def assemble(settings: Config, *, database: Database | None, now: Callable[[], datetime]) -> Parts:
    """Return the parts, each given those below it."""
    threads = max(settings.web_threads, settings.worker_threads)
    database = database or open_database(settings, connections=threads)
    vault = Vault(settings.token_keys)
    refusals = Refusals(database=database, key=settings.secret_key[0], now=now)
    call_log = CallLog(database=database, refusals=refusals)
    transport = Transport(
        Reach(loopback=settings.trust_loopback, private=settings.allow_private_portals),
        threads=settings.web_threads,
        connections_per_host=threads,
        authorization_servers=settings.bitrix24_auth_servers,
    )
    tallies = Tallies(database)
    exchange = Exchange(transport, tallies.count_call)
    servers = AuthorizationServers(
        exchange,
        settings.bitrix24_auth_servers,
        settings.bitrix24_client_id,
        settings.bitrix24_client_secret,
    )
    portals = Portals(database=database, vault=vault, exchange=exchange, servers=servers, now=now)
    chains = Chains(vault)
    live = LiveTokens(
        database=database, chains=chains, portals=portals, servers=servers, refusals=refusals, now=now
    )
    people = People(database=database, chains=chains, refusals=refusals, now=now)
    runs = Runs(database=database, now=now)
    readings = Readings(
        database=database, people=people, live=live, call_log=call_log, refusals=refusals, now=now
    )
    directory = Directory(database=database, live=live, now=now)
    events = Events(
        database=database, portals=portals, servers=servers, live=live, call_log=call_log, now=now
    )
    return Parts(
        database=database,
        vault=vault,
        tallies=tallies,
        exchange=exchange,
        servers=servers,
        portals=portals,
        events=events,
        spool=EventSpool(folder=settings.state_directory, vault=vault, events=events, now=now),
        openings=Openings(
            database=database,
            runs=runs,
            portals=portals,
            people=people,
            servers=servers,
            call_log=call_log,
            public_url=settings.public_url,
            titles=translations.Everywhere(hooks.PLACEMENT_TITLE),
            now=now,
        ),
        readings=readings,
        refusals=refusals,
        permission_checks=PermissionChecks(
            live=live, people=people, call_log=call_log, refusals=refusals, now=now
        ),
        runs=runs,
        sync=Sync(
            database=database, runs=runs, directory=directory, readings=readings, call_log=call_log, now=now
        ),
        chores=Chores(database=database, runs=runs, live=live, call_log=call_log, now=now),
    )


def open_database(settings: Config, *, connections: int) -> Database:
    """Return the database of the configuration; nothing is connected yet."""
    return Database(settings.database_url.get_secret_value(), connections=connections)


def _configured() -> Config:
    try:
        return config.load(os.environ)
    except ConfigError as error:
        sys.exit(str(error))
