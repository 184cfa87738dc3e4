"""Create the Flask application: services, pages, commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

import structlog
from flask import Flask

from dashboard.commands import register
from dashboard.core import config, logging_setup
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.services import build_services, utc_now
from dashboard.web.errors import handlers, responses
from dashboard.web.http import request_hooks, security_headers, static_files
from dashboard.web.http.query_values import IdConverter
from dashboard.web.http.templating import TemplateEnvironment
from dashboard.web.i18n import translations
from dashboard.web.presenters import template_filters
from dashboard.web.views import (
    admin,
    admin_calls,
    admin_data,
    adopt,
    health,
    hooks,
    insight_people,
    insights,
    invitation,
    legal,
    metrics,
    my_changes,
    my_settings,
    person_history,
    plan,
    plan_groups,
    reach,
    styleguide,
    team,
    team_export,
    team_sync,
)

BLUEPRINTS = (
    hooks.blueprint,
    my_settings.blueprint,
    adopt.blueprint,
    my_changes.blueprint,
    team.blueprint,
    person_history.blueprint,
    team_sync.blueprint,
    team_export.blueprint,
    invitation.blueprint,
    plan.blueprint,
    plan_groups.blueprint,
    reach.blueprint,
    insights.blueprint,
    insight_people.blueprint,
    admin.blueprint,
    admin_calls.blueprint,
    admin_data.blueprint,
    legal.blueprint,
    health.blueprint,
    metrics.blueprint,
)

log = structlog.get_logger()


def create_app(
    settings: Config | None = None,
    *,
    database: Database | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Flask:
    """Return the application; it connects to the database and the network with the first request.

    :raise SystemExit: the configuration is invalid; stderr has a line for each variable.
    """
    settings = settings or config.load_or_exit(os.environ)
    logging_setup.configure(level=settings.log_level, style=settings.log_format)
    for variable in config.ignored_variables(os.environ):
        log.warning("variable_ignored", variable=variable, hint="It is no longer used; remove it.")
    services = build_services(settings, database=database, placement_titles=hooks.placement_titles, now=now)

    app = request_hooks.Application(__name__, static_folder=None)
    app.extensions["services"] = services
    app.jinja_environment = TemplateEnvironment
    # Otherwise Flask redirects `/me//refresh` to the host in the Host header, which a client can forge.
    app.url_map.merge_slashes = False
    app.url_map.converters["int"] = IdConverter
    static_files.install(app, static_files.StaticFiles(watch=settings.trust_loopback))
    for module in (translations, template_filters, responses):
        module.install(app.jinja_env)
    request_hooks.install(app)
    security_headers.install(app, script_url=settings.bx24_js_url, https=settings.public_url.startswith("https:"))
    handlers.install(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    if settings.trust_loopback:
        app.register_blueprint(styleguide.blueprint)
    metrics.count_requests(app, services.metrics)
    register.install(app)
    return app
