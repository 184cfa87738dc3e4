"""Receive what Bitrix24 posts: installations, openings and events. Browsers get a welcome page at the same URLs.

An opening is Bitrix24's POST when a user starts the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Blueprint, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import UnsupportedMediaType

from dashboard.bitrix24 import inbound
from dashboard.bitrix24.errors import Limited, NotAnswered
from dashboard.bitrix24.inbound import BadField, OpeningRequest
from dashboard.core.database import UNAVAILABLE
from dashboard.launch.events import UninstallationUnconfirmed
from dashboard.models import Portal, PortalState
from dashboard.portals import bindings
from dashboard.web.auth.permissions import has_stored_team_access
from dashboard.web.auth.sessions import issue_token, start_session
from dashboard.web.auth.verification_throttle import OpeningAttempt, hashed_address, throttle_event, throttle_opening
from dashboard.web.http.context import services
from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import N_
from dashboard.web.presenters import team_query
from dashboard.web.presenters.page_context import FullPage
from dashboard.web.views import plan, reach
from dashboard.web.views.my_settings import my_settings_page
from dashboard.web.views.team import team_page

APP_TITLE, CARD_TITLE = N_("Team Hours"), N_("Working hours")
FORM = "application/x-www-form-urlencoded"

blueprint = Blueprint("hooks", __name__)


def placement_titles(placement: str) -> Mapping[str, str]:
    """Return the title that a placement has in Bitrix24, by its language codes."""
    return translations.in_every_language(CARD_TITLE if placement in bindings.OPTIONAL_PLACEMENTS else APP_TITLE)


@blueprint.before_request
def ensure_spool_thread() -> None:
    """Restart the thread that handles spooled events if an error has ended it."""
    services().spool.ensure_alive()


@blueprint.get("/")
@blueprint.get("/install")
@blueprint.get("/events")
def show_welcome() -> ResponseReturnValue:
    """Say what this application is; the vendor console checks that these URLs answer."""
    return render_template("welcome.html")


@blueprint.post("/")
def open_app() -> ResponseReturnValue:
    """Show the page for the place where the user opened the application, *My settings* by default."""
    opening, known_portal, attempt = _parse_opening()
    with attempt.verification():
        result = services().openings.open(opening, known_portal, may_ask_portal=attempt.may_ask_portal)
    _set_portal(result.portal)
    g.person = result.person
    user = start_session(result.portal, result.person)
    full_page = FullPage(
        issue_token(user), services().config.bx24_js_url, frame_key=f"{result.person.id} {opening.placement}"
    )
    if opening.placement in reach.USER_KEYS:
        return reach.card_for_opening(
            user, reach.named_colleague(opening.placement, opening.options), full_page=full_page
        )
    if opening.placement == bindings.CALENDAR_VIEW and has_stored_team_access(user):
        query = team_query.parse_calendar_options(opening.options, today=user.today)
        return team_page(user, query, full_page=full_page)
    if (shared := plan.shared_query(user, opening.options)) and has_stored_team_access(user):
        return plan.render_plan(user, shared, full_page=full_page)
    return my_settings_page(
        user, result.settings, first_open=result.is_first, full_page=full_page, changes=result.changes
    )


@blueprint.post("/install")
def install_app() -> ResponseReturnValue:
    """Install the application in a portal; the page then finishes the installation in the frame."""
    opening, known_portal, attempt = _parse_opening()
    with attempt.verification():
        result = services().openings.install(opening, known_portal)
    _set_portal(result.portal)
    return render_template(
        "install.html",
        portal={"domain": urlsplit(result.portal.origin).netloc},
        events=[name for name in bindings.EVENTS if name not in result.refused_bindings],
        placements=[name for name in bindings.PLACEMENTS if name not in result.refused_bindings],
        bx24_js_url=services().config.bx24_js_url,
    )


@blueprint.post("/events")
def receive_event() -> ResponseReturnValue:
    """Handle an event. Bitrix24 sends each once, so one that cannot be stored or checked now is spooled."""
    event = inbound.parse_event(_form())
    try:
        with throttle_event() as throttle_verification:
            services().events.handle(event, throttle_verification=throttle_verification)
    except (*UNAVAILABLE, NotAnswered, Limited, UninstallationUnconfirmed):
        if not services().spool.add(event, sender=hashed_address()):
            raise
    return jsonify(status="ok")


def _parse_opening() -> tuple[OpeningRequest, Portal | None, OpeningAttempt]:
    """Return the opening, the portal it claims to come from, and the attempt to verify it."""
    config = services().config
    opening = inbound.parse_opening(request.args, _form())
    if inbound.is_ip_literal(opening.domain) and not (config.trust_loopback or config.allow_private_portals):
        raise BadField("DOMAIN", "is an IP address")
    if not opening.secure and not config.trust_loopback:
        raise BadField("PROTOCOL", "must be 1: a portal needs https")
    translations.use(opening.language)
    with services().database.read_session() as session:
        portal = services().installations.find(opening.member_id, session)
        has_token = False
        if portal is not None and portal.state != PortalState.UNINSTALLED:
            _set_claimed_portal(portal, opening)
            has_token = _has_token_of(portal, opening)
        attempt = throttle_opening(session, portal, opening.access_token, has_application_token=has_token)
    return opening, portal, attempt


def _set_claimed_portal(portal: Portal, opening: OpeningRequest) -> None:
    """Keep for errors and the log which portal the opening claims to come from."""
    g.portal = portal
    # Errors name the portal's host in a header only if the caller has sent it: it must not be revealed to others.
    if urlsplit(portal.origin).netloc == opening.domain:
        g.frame_origin = portal.origin


def _has_token_of(portal: Portal, opening: OpeningRequest) -> bool:
    token = opening.application_token
    return token is not None and services().installations.matches_application_token(portal, token)


def _set_portal(portal: Portal) -> None:
    g.portal, g.frame_origin = portal, portal.origin


def _form() -> MultiDict[str, str]:
    if request.mimetype != FORM and (request.mimetype or request.get_data()):
        raise UnsupportedMediaType
    return request.form
