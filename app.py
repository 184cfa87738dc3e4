"""Joins the parts; the only file that knows them all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask

from dashboard import cli, config, logs
from dashboard.bitrix24.exchange import Exchange
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import Reach, Transport
from dashboard.calls import CallLog
from dashboard.chains import Chains
from dashboard.config import Config, ConfigError
from dashboard.db import Database
from dashboard.events import Events
from dashboard.openings import Openings
from dashboard.people import People
from dashboard.portals import Portals
from dashboard.readings import Readings
from dashboard.vault import Vault
from dashboard.web import access, errors, format, headers, hooks, language, pages, public
from dashboard.web.auth import Sessions


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
    logs.configure(level=settings.log_level, style=settings.log_format)

    database = database or Database(
        settings.database_url.get_secret_value(), connections=settings.web_threads
    )
    vault = Vault(settings.token_keys)
    calls = CallLog()
    transport = Transport(
        Reach(loopback=settings.trust_loopback, private=settings.allow_private_portals),
        connections_per_host=settings.web_threads,
    )
    exchange = Exchange(transport, calls.remember)
    servers = AuthorizationServers(
        exchange,
        settings.bitrix24_auth_servers,
        settings.bitrix24_client_id,
        settings.bitrix24_client_secret,
    )
    portals = Portals(database=database, vault=vault, exchange=exchange, servers=servers, now=now)
    events = Events(database=database, portals=portals, servers=servers)
    people = People(database=database, chains=Chains(vault), portals=portals, servers=servers, now=now)
    openings = Openings(
        database=database,
        portals=portals,
        people=people,
        servers=servers,
        calls=calls,
        public_url=settings.public_url,
        titles=language.everywhere(hooks.PLACEMENT_TITLE),
        now=now,
    )
    readings = Readings(database=database, people=people, now=now)
    sessions = Sessions(database, settings.secret_key)

    app = Flask(__name__)
    language.install(app.jinja_env)
    format.install(app.jinja_env)
    access.install(app, database=database, calls=calls)
    headers.install(app, script_url=settings.bx24_js_url)
    errors.install(app)
    app.register_blueprint(
        hooks.blueprint(settings, openings=openings, events=events, portals=portals, sessions=sessions)
    )
    app.register_blueprint(pages.blueprint(readings=readings, sessions=sessions))
    app.register_blueprint(public.blueprint(database))
    cli.install(app, database=database, vault=vault, portals=portals, now=now)
    return app


def _configured() -> Config:
    try:
        return config.load(os.environ)
    except ConfigError as error:
        sys.exit(str(error))
