"""The doors Bitrix24 calls: the installer page, the application's page, the events."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import UnsupportedMediaType

from dashboard.bitrix24 import inbound
from dashboard.bitrix24.inbound import BadField, OpeningRequest
from dashboard.core.config import Config
from dashboard.core.database import UNAVAILABLE
from dashboard.launch.event_spool import EventSpool
from dashboard.launch.events import EventHandler
from dashboard.launch.openings import OpeningService
from dashboard.models import Portal, PortalState
from dashboard.people.access import can_see_team
from dashboard.portals import bindings
from dashboard.portals.installations import Installations
from dashboard.web.auth.proof_throttle import ProofThrottle
from dashboard.web.auth.sessions import Sessions
from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import N_
from dashboard.web.presenters import team_query
from dashboard.web.presenters.page_context import FullPage
from dashboard.web.views.my_settings import me_page
from dashboard.web.views.team import TeamPages

PLACEMENT_TITLE = N_("Calendar settings")
FORM = "application/x-www-form-urlencoded"


def blueprint(
    config: Config,
    *,
    openings: OpeningService,
    events: EventHandler,
    spool: EventSpool,
    portals: Installations,
    sessions: Sessions,
    proof_throttle: ProofThrottle,
    team_pages: TeamPages,
) -> Blueprint:
    """Return the routes Bitrix24 posts to; a GET on each shows what this is."""
    hooks = Blueprint("hooks", __name__)

    @hooks.get("/")
    @hooks.get("/install")
    @hooks.get("/events")
    def welcome() -> ResponseReturnValue:
        """Tell a curious person, and the vendor console's check, what this is."""
        return render_template("welcome.html")

    @hooks.post("/")
    def opened() -> ResponseReturnValue:
        """Show the dashboard to whoever opened it in the portal's frame."""
        opening, known, has_token = _opening()
        with proof_throttle.opening(known, has_token=has_token) as portal_first:
            result = openings.open(opening, known, portal_first=portal_first)
        _frame(result.portal)
        g.person = result.person
        whole = FullPage(sessions.issue(result.portal, result.person), config.bx24_js_url)
        if opening.placement == bindings.CALENDAR_VIEW and can_see_team(result.portal, result.person):
            view = team_query.opened_at(opening.options, today=team_pages.today(result.person))
            return team_pages.page(result.portal, result.person, view, whole=whole)
        return me_page(result.portal, result.person, result.settings, first_open=result.is_first, whole=whole)

    @hooks.post("/install")
    def installed() -> ResponseReturnValue:
        """Install the application for a portal; the page finishes the installation and moves on."""
        opening, known, has_token = _opening()
        with proof_throttle.opening(known, has_token=has_token):
            result = openings.install(opening, known)
        _frame(result.portal)
        bound = [name for name in bindings.EVENTS if name not in result.unbound]
        placements = [name for name in bindings.PLACEMENTS if name not in result.unbound]
        return render_template(
            "install.html",
            portal={"domain": urlsplit(result.portal.origin).netloc},
            events=bound,
            placements=placements,
            bx24_js_url=config.bx24_js_url,
        )

    hooks.before_request(spool.restart)

    @hooks.post("/events")
    def event() -> ResponseReturnValue:
        """Act on an event of the portal's queue. It is sent once, so what can be done is done now."""
        posted = inbound.parse_event(_form())
        try:
            with proof_throttle.event() as before_asking:
                events.handle(posted, before_asking=before_asking)
        except UNAVAILABLE:
            if not spool.add(posted, sender=proof_throttle.sender()):
                raise
        return jsonify(status="ok")

    def _opening() -> tuple[OpeningRequest, Portal | None, bool]:
        """Return the opening, the portal it claims, and whether it carries that portal's token."""
        local = config.trust_loopback or config.allow_private_portals
        opening = inbound.parse_opening(request.args, _form())
        if inbound.is_ip_literal(opening.domain) and not local:
            raise BadField("DOMAIN", "is an address in digits")
        if not opening.secure and not config.trust_loopback:
            raise BadField("PROTOCOL", "must be 1: a portal needs https")
        translations.use(opening.language)
        known = portals.find(opening.member_id)
        if known is None or known.state == PortalState.UNINSTALLED:
            return opening, known, False
        g.portal = known
        # Until something is proven, the portal may frame what goes wrong. A stranger who knows its member_id
        # alone is not told its address.
        if urlsplit(known.origin).netloc == opening.domain:
            g.frame_origin = known.origin
        token = opening.application_token
        return opening, known, token is not None and portals.has_token(known, token)

    return hooks


def _frame(portal: Portal) -> None:
    g.portal, g.frame_origin = portal, portal.origin


def _form() -> MultiDict[str, str]:
    if request.mimetype != FORM and (request.mimetype or request.get_data()):
        raise UnsupportedMediaType
    return request.form
