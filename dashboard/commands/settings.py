"""`settings`: a person's own, read through an incoming webhook, before any application is registered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup
from pydantic import SecretStr

from dashboard.bitrix24.errors import Bitrix24Error, MethodMissing, NotAnswered
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.webhook import Webhook, parse_webhook_url
from dashboard.calendar import parser
from dashboard.calendar.parser import ACCOUNT_METHOD, EMPTY_CODE, METHOD, CalendarSettings, SettingsResponse
from dashboard.commands import output
from dashboard.core.config import Config
from dashboard.core.json_values import escape_invisible

ADVICE = (
    "In the portal: Developer resources, Other, Inbound webhook; give it the right `calendar` and copy its address."
)


def group(config: Config, rest: RestHttp, now: Callable[[], datetime]) -> AppGroup:
    """Return the group."""
    commands = AppGroup("settings", help="Look at a real portal without registering anything.")

    @commands.command()
    @click.option("--file", help="Read the webhook's address from this file; - is standard input.")
    @output.as_json
    def show(file: str | None, as_json: bool) -> None:
        """Print what My settings would say, of whoever made an incoming webhook.

        The webhook's address is asked for without showing it, or read from a file; it is a secret, so it is
        no argument. Nothing is stored.
        """
        webhook = Webhook(rest, _address(file, loopback=config.trust_loopback))
        reading = _read(webhook, now())
        if as_json:
            output.print_row({"settings": reading.settings, "account": reading.account}, as_json=True)
        else:
            my = parser.parse(reading, profile_time_zone=None)
            output.print_text(_in_words(my, now()).strip())

    return commands


def _address(file: str | None, *, loopback: bool) -> SecretStr:
    if file == "-":
        typed = sys.stdin.readline()
    elif file is not None:
        try:
            typed = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.ClickException(f"The file cannot be read ({type(error).__name__}).") from None
    else:
        output.print_text(ADVICE)
        typed = click.prompt("Address of the webhook", hide_input=True)
    try:
        return parse_webhook_url(SecretStr(typed), loopback=loopback)
    except ValueError as error:
        raise click.ClickException(f"The webhook's address {error}.") from None


def _read(webhook: Webhook, now: datetime) -> SettingsResponse:
    """Ask for both parts; the settings are what is printed, the portal's hours only complete them."""
    try:
        mine = webhook.call(METHOD)
    except MethodMissing:
        raise click.ClickException(f"This portal does not know {METHOD}: its calendar is too old.") from None
    except NotAnswered as error:
        raise click.ClickException(f"The portal did not answer: {error.code}.") from None
    except Bitrix24Error as error:
        raise click.ClickException(f"The portal refused: {error.code or EMPTY_CODE}. {ADVICE}") from None
    try:
        account, errors = webhook.call(ACCOUNT_METHOD), {}
    except Bitrix24Error as error:
        account, errors = None, {ACCOUNT_METHOD: error.code or EMPTY_CODE}
    return SettingsResponse(settings=mine, account=account, sections=None, errors=errors, taken_at=now)


def _in_words(my: CalendarSettings, now: datetime) -> str:
    """Return the page as text; no value of the portal's begins a line of its own."""
    environment = current_app.jinja_env.overlay(finalize=_on_one_line)
    return environment.get_template("terminal/settings.txt").render(my=my, now=now)


def _on_one_line(value: object) -> object:
    return escape_invisible(value) if isinstance(value, str) else value
