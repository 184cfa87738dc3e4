"""Check step by step whether a portal can be reached: name, address, connection, certificate, answer."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from dashboard.bitrix24 import errors
from dashboard.bitrix24.dns import resolve
from dashboard.bitrix24.errors import Bitrix24Error, Limited, NotAnswered, PortalMoved, PortalRefused
from dashboard.bitrix24.masking import record_nothing
from dashboard.bitrix24.oauth import INVALID_TOKEN
from dashboard.commands.checks import CheckResult, good, warning, wrong
from dashboard.models import Portal
from dashboard.portals.installations import Installations

LOOKUP_SECONDS = 5.0
STEPS = {
    "name": "is found",
    "address": "may be called",
    "connection": "is accepted",
    "certificate": "is trusted",
    "answer": "is a Bitrix24 portal's",
}
# Error code → the step that fails, what is wrong, and how to fix it.
CAUSES = {
    errors.UNKNOWN_HOST: ("name", "is not in the DNS", "Check the portal's domain; it may have been renamed."),
    errors.NAME_LOOKUP_FAILED: ("name", "cannot be looked up now", "Check this machine's name servers."),
    errors.ADDRESS_NOT_ALLOWED: (
        "address",
        "may not be called by this application",
        "The portal needs a public address; ALLOW_PRIVATE_PORTALS=1 allows private ones for all portals.",
    ),
    errors.CONNECTION_REFUSED: ("connection", "is refused", "Check that the portal's web server runs on that port."),
    errors.CONNECT_TIMEOUT: ("connection", "is not answered", "Check the firewalls of the portal and this machine."),
    errors.CERTIFICATE_UNTRUSTED: (
        "certificate",
        "is not trusted",
        "It has expired, names another server, lacks its intermediate certificates, or its authority is "
        "unknown: SSL_CERT_FILE names a company's own.",
    ),
    errors.TLS_FAILED: (
        "certificate",
        "cannot be read: the server does not speak TLS, or only an outdated version",
        "Check that the portal's web server speaks TLS 1.2 or newer on that port.",
    ),
    errors.TIMEOUT: ("answer", "takes too long", "Check how busy the portal's server is."),
    errors.UNREACHABLE: ("answer", "breaks off", "Read the log of the portal's web server or its proxy."),
}


def check_portal(portal: Portal, installations: Installations) -> Iterator[CheckResult]:
    """Yield a result for each step up to the first that fails. No secret is sent."""
    parts = urlsplit(portal.origin)
    is_https = parts.scheme == "https"
    error = _send_invalid_token(portal, installations)
    failed_step, message, advice = CAUSES.get(error.code if error else "", ("answer", "", ""))
    for step, success in STEPS.items():
        if step == "certificate" and not is_https:
            continue
        if step == failed_step:
            yield wrong(step, message, advice) if message else _check_answer(error)
            return
        if step == "name":
            addresses = _addresses(parts.hostname or "", parts.port or (443 if is_https else 80))
            success = f"{parts.netloc} {success} ({addresses})"
        yield good(step, success)


def _send_invalid_token(portal: Portal, installations: Installations) -> Bitrix24Error | None:
    client = installations.client(portal.origin, record_call=record_nothing)
    try:
        client.call("app.info", token=INVALID_TOKEN, read_only=True)
    except Bitrix24Error as error:
        return error
    return None


def _addresses(host: str, port: int) -> str:
    try:
        return ", ".join(dict.fromkeys(resolve(host, port, seconds=LOOKUP_SECONDS)))
    except (OSError, ValueError):
        return "unknown"


def _check_answer(error: Bitrix24Error | None) -> CheckResult:
    """Check the portal's answer: it must refuse an invalid token."""
    if error is None:
        return wrong("answer", "accepts any token", "This is not a Bitrix24 portal.")
    if isinstance(error, NotAnswered):
        advice = "Check what the address serves; a portal answers /rest/app.info with JSON."
        return wrong("answer", f"is not a Bitrix24 portal's ({error.code})", advice)
    if isinstance(error, PortalMoved):
        advice = "The next opening, or the next run, asks the authorization server where the portal is."
        return warning("answer", "redirects to another address", advice)
    if isinstance(error, Limited):
        return warning("answer", f"says that the portal is busy ({error.code})", "Try again in a minute.")
    if isinstance(error, PortalRefused):
        advice = "The portal's owner must reopen it, or renew the subscription."
        return warning("answer", f"says that the portal is closed or unpaid ({error.code})", advice)
    return good("answer", STEPS["answer"])
