"""Joins the parts; the only file that knows them all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from flask import Flask

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import Transport
from dashboard.commands import register, worker
from dashboard.core import config, logging_setup
from dashboard.core.config import Config, ConfigError
from dashboard.core.database import Database
from dashboard.core.encryption import TokenEncryption
from dashboard.launch.event_spool import EventSpool
from dashboard.launch.events import EventHandler
from dashboard.launch.openings import OpeningService
from dashboard.monitoring.gauges import DatabaseGauges
from dashboard.monitoring.metrics import Metrics
from dashboard.monitoring.readiness import ReadinessProbe
from dashboard.people.accounts import Accounts
from dashboard.people.directory import Directory
from dashboard.people.permission_checks import PermissionChecks
from dashboard.people.snapshots import Snapshots
from dashboard.portals.call_log import CallLog
from dashboard.portals.installations import Installations
from dashboard.portals.throttle import Throttle
from dashboard.sync.engine import SyncEngine
from dashboard.sync.periodic_tasks import PeriodicTasks
from dashboard.sync.runs import Runs
from dashboard.tokens.refresh import TokenRefresher
from dashboard.tokens.store import TokenStore
from dashboard.web.auth.permissions import Permissions
from dashboard.web.auth.proof_throttle import ProofThrottle
from dashboard.web.auth.sessions import Sessions
from dashboard.web.errors import error_labels, handlers
from dashboard.web.http import request_hooks, security_headers, static_files
from dashboard.web.http.templating import TemplateEnvironment
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
    encryption: TokenEncryption
    metrics: Metrics
    probe: ReadinessProbe
    rest: RestHttp
    servers: AuthorizationServers
    installations: Installations
    events: EventHandler
    spool: EventSpool
    openings: OpeningService
    snapshots: Snapshots
    throttle: Throttle
    permission_checks: PermissionChecks
    runs: Runs
    sync: SyncEngine
    periodic_tasks: PeriodicTasks


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
    for variable in config.ignored_variables(os.environ):
        log.warning("variable_ignored", variable=variable, hint="It is no longer used; take it away.")
    parts = assemble(settings, database=database, now=now)
    sessions = Sessions(parts.database, settings.secret_key)
    permissions = Permissions(parts.database, parts.permission_checks)
    team_pages = team.TeamPages(database=parts.database, runs=parts.runs, now=now)

    app = request_hooks.Application(__name__, static_folder=None)
    app.jinja_environment = TemplateEnvironment
    # Else `/me//refresh` is answered with a redirect to whatever Host was named, by http behind a proxy.
    app.url_map.merge_slashes = False
    static_files.install(app, static_files.StaticFiles(watch=settings.trust_loopback))
    translations.install(app.jinja_env)
    filters.install(app.jinja_env)
    team_row.install(app.jinja_env)
    setting_display.install(app.jinja_env)
    error_labels.install(app.jinja_env)
    request_hooks.install(app)
    security_headers.install(app, script_url=settings.bx24_js_url, https=settings.public_url.startswith("https:"))
    handlers.install(app)
    if settings.trust_loopback:
        app.register_blueprint(styleguide.blueprint())
    app.register_blueprint(
        hooks.blueprint(
            settings,
            openings=parts.openings,
            events=parts.events,
            spool=parts.spool,
            portals=parts.installations,
            sessions=sessions,
            proof_throttle=ProofThrottle(parts.throttle, proxies=settings.trusted_proxies, now=now),
            team_pages=team_pages,
        )
    )
    app.register_blueprint(my_settings.blueprint(snapshots=parts.snapshots, sessions=sessions))
    app.register_blueprint(team.blueprint(pages=team_pages, sessions=sessions, permissions=permissions))
    app.register_blueprint(
        insights.blueprint(database=parts.database, now=now, sessions=sessions, permissions=permissions)
    )
    app.register_blueprint(team_sync.blueprint(runs=parts.runs, now=now, sessions=sessions, permissions=permissions))
    app.register_blueprint(
        team_export.blueprint(database=parts.database, now=now, sessions=sessions, permissions=permissions)
    )
    for part in (insight_people, admin, admin_calls, admin_data):
        app.register_blueprint(
            part.blueprint(database=parts.database, now=now, sessions=sessions, permissions=permissions)
        )
    app.register_blueprint(health.blueprint(parts.probe, fingerprint=settings.fingerprint))
    app.register_blueprint(legal.blueprint(settings))
    metrics.count_requests(app, parts.metrics)
    app.register_blueprint(metrics.blueprint(parts.metrics, settings.metrics_token))
    # For the server, which starts it in each of its processes.
    app.extensions["event_spool"] = parts.spool
    app.cli.add_command(
        worker.command(
            settings,
            database=parts.database,
            spool=parts.spool,
            sync=parts.sync,
            runs=parts.runs,
            periodic_tasks=parts.periodic_tasks,
            metrics=parts.metrics,
        )
    )
    register.install(
        app,
        settings,
        database=parts.database,
        encryption=parts.encryption,
        portals=parts.installations,
        synchronisations=parts.runs,
        rest=parts.rest,
        servers=parts.servers,
        probe=parts.probe,
        throttle=parts.throttle,
        now=now,
    )
    return app


def assemble(settings: Config, *, database: Database | None, now: Callable[[], datetime]) -> Parts:
    """Return the parts, each given those below it."""
    threads = max(settings.web_threads, settings.worker_threads)
    database = database or open_database(settings, connections=threads)
    encryption = TokenEncryption(settings.token_keys)
    throttle = Throttle(database=database, key=settings.secret_key[0], now=now)
    call_log = CallLog(database=database, throttle=throttle)
    transport = Transport(
        AddressPolicy(loopback=settings.trust_loopback, private=settings.allow_private_portals),
        threads=settings.web_threads,
        connections_per_host=threads,
        authorization_servers=settings.bitrix24_auth_servers,
    )
    probe = ReadinessProbe(database=database, now=now)
    counters = Metrics(DatabaseGauges(database, probe, now=now))
    rest = RestHttp(transport, counters.count_call)
    servers = AuthorizationServers(
        rest,
        settings.bitrix24_auth_servers,
        settings.bitrix24_client_id,
        settings.bitrix24_client_secret,
    )
    installations = Installations(database=database, encryption=encryption, rest=rest, servers=servers, now=now)
    token_store = TokenStore(database=database, encryption=encryption, now=now)
    token_refresher = TokenRefresher(
        token_store=token_store,
        installations=installations,
        servers=servers,
        throttle=throttle,
        now=now,
    )
    accounts = Accounts(database=database, token_store=token_store, throttle=throttle, now=now)
    runs = Runs(database=database, now=now)
    snapshots = Snapshots(
        database=database,
        accounts=accounts,
        token_refresher=token_refresher,
        call_log=call_log,
        throttle=throttle,
        now=now,
    )
    directory = Directory(database=database, token_refresher=token_refresher, now=now)
    events = EventHandler(
        database=database,
        installations=installations,
        token_refresher=token_refresher,
        call_log=call_log,
        now=now,
    )
    return Parts(
        database=database,
        encryption=encryption,
        metrics=counters,
        probe=probe,
        rest=rest,
        servers=servers,
        installations=installations,
        events=events,
        spool=EventSpool(folder=settings.state_directory, encryption=encryption, events=events, now=now),
        openings=OpeningService(
            database=database,
            runs=runs,
            installations=installations,
            accounts=accounts,
            call_log=call_log,
            public_url=settings.public_url,
            titles=translations.InEveryLanguage(hooks.PLACEMENT_TITLE),
            now=now,
        ),
        snapshots=snapshots,
        throttle=throttle,
        permission_checks=PermissionChecks(
            token_refresher=token_refresher, accounts=accounts, call_log=call_log, throttle=throttle, now=now
        ),
        runs=runs,
        sync=SyncEngine(
            database=database, runs=runs, directory=directory, snapshots=snapshots, call_log=call_log, now=now
        ),
        periodic_tasks=PeriodicTasks(
            database=database, runs=runs, token_refresher=token_refresher, call_log=call_log, now=now
        ),
    )


def open_database(settings: Config, *, connections: int) -> Database:
    """Return the database of the configuration; nothing is connected yet."""
    return Database(settings.database_url.get_secret_value(), connections=connections)


def _configured() -> Config:
    try:
        return config.load(os.environ)
    except ConfigError as error:
        sys.exit(str(error))
