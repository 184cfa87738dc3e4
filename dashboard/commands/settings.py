"""`settings`: print a person's calendar settings, read through an incoming webhook of a portal."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click
from flask import current_app
from pydantic import SecretStr

from dashboard.bitrix24.errors import Bitrix24Error, MethodMissing, NotAnswered
from dashboard.bitrix24.webhook import Webhook, parse_webhook_url
from dashboard.calendar import parser
from dashboard.calendar.parser import (
    EMPTY_CODE,
    PORTAL_SETTINGS_METHOD,
    USER_SETTINGS_METHOD,
    CalendarSettings,
    SettingsResponse,
)
from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, services
from dashboard.core.json_values import escape_invisible

ADVICE = (
    "In the portal: Developer resources, Other, Inbound webhook; give it the right `calendar` and copy its address."
)

group = OperatorGroup("settings", help="Read a real portal without registering an application.")


@group.command()
@click.option("--file", help="Read the webhook's address from this file; - is standard input.")
@output.as_json
def show(file: str | None, as_json: bool) -> None:
    """Print what My settings shows to the person who created an incoming webhook.

    The webhook's address is a secret, so it is not an argument: it is asked for without echo, or read from a file.
    Nothing is stored.
    """
    now = services().now()
    url = _webhook_url(file, loopback=services().config.trust_loopback)
    response = _read(Webhook(services().rest, url), now)
    if as_json:
        output.print_json({"settings": response.settings, "account": response.portal_settings})
    else:
        settings = parser.parse(response, profile_time_zone=None)
        output.print_text(_render(settings, now).strip())


def _webhook_url(file: str | None, *, loopback: bool) -> SecretStr:
    if file == "-":
        url = sys.stdin.readline()
    elif file is not None:
        try:
            url = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"The file cannot be read ({type(error).__name__}).") from None
    else:
        output.print_text(ADVICE)
        url = click.prompt("Address of the webhook", hide_input=True)
    try:
        return parse_webhook_url(SecretStr(url), loopback=loopback)
    except ValueError as error:
        raise click.ClickException(f"The webhook's address {error}.") from None


def _read(webhook: Webhook, now: datetime) -> SettingsResponse:
    """Read the person's settings and, where possible, the portal's, which complete them."""
    try:
        settings = webhook.call(USER_SETTINGS_METHOD)
    except MethodMissing:
        raise click.ClickException(
            f"This portal does not know {USER_SETTINGS_METHOD}: its calendar is too old."
        ) from None
    except NotAnswered as error:
        raise click.ClickException(f"The portal did not answer: {error.code}.") from None
    except Bitrix24Error as error:
        raise click.ClickException(f"The portal refused: {error.code or EMPTY_CODE}. {ADVICE}") from None
    try:
        portal_settings, errors = webhook.call(PORTAL_SETTINGS_METHOD), {}
    except Bitrix24Error as error:
        portal_settings, errors = None, {PORTAL_SETTINGS_METHOD: error.code or EMPTY_CODE}
    return SettingsResponse(
        settings=settings, portal_settings=portal_settings, sections=None, errors=errors, taken_at=now
    )


def _render(settings: CalendarSettings, now: datetime) -> str:
    """Return the page as text; values from the portal cannot break a line."""
    environment = current_app.jinja_env.overlay(
        finalize=lambda value: escape_invisible(value) if isinstance(value, str) else value,
        # A cache may have the template compiled without that.
        bytecode_cache=None,
    )
    return environment.get_template("terminal/settings.txt").render(my=settings, now=now)
