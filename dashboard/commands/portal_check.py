"""Check step by step whether one portal can be reached: name, address, connection, certificate, answer."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from dashboard.bitrix24 import errors
from dashboard.bitrix24.dns import resolve
from dashboard.bitrix24.errors import Bitrix24Error, Limited, NotAnswered, PortalMoved, PortalRefused
from dashboard.bitrix24.masking import record_nothing
from dashboard.commands.findings import CheckResult
from dashboard.models import Portal
from dashboard.portals.installations import Installations

LOOKUP_SECONDS = 5.0
NO_TOKEN = "doctor"  # noqa: S105  # whoever refuses it in Bitrix24's words is a portal
STEPS = {
    "name": "is found",
    "address": "may be called",
    "connection": "is accepted",
    "certificate": "is trusted",
    "answer": "is one of a Bitrix24 portal",
}
# At which step each cause shows, what it means, and how to mend it.
CAUSES = {
    errors.UNKNOWN_HOST: (
        "name",
        "is not in the DNS",
        "Check the portal's domain; it may have been renamed.",
    ),
    errors.NAME_LOOKUP_FAILED: (
        "name",
        "cannot be looked up now",
        "Check the name servers of this machine (/etc/resolv.conf).",
    ),
    errors.ADDRESS_NOT_ALLOWED: (
        "address",
        "is none that this application may call",
        "The portal needs a public address; ALLOW_PRIVATE_PORTALS=1 allows private ones for all portals.",
    ),
    errors.CONNECTION_REFUSED: (
        "connection",
        "is refused",
        "See that the portal's web server runs and listens on that port.",
    ),
    errors.CONNECT_TIMEOUT: (
        "connection",
        "is not answered",
        "See that the portal's firewall lets this machine in, and this machine's lets it out.",
    ),
    errors.CERTIFICATE_UNTRUSTED: (
        "certificate",
        "is not trusted",
        "It has expired, names another server, lacks its intermediate certificates, or its authority is "
        "unknown: SSL_CERT_FILE names a company's own.",
    ),
    errors.TLS_FAILED: (
        "certificate",
        "cannot be asked for: this is no TLS, or of a kind nobody uses any more",
        "See that the portal's web server speaks TLS 1.2 or newer on that port.",
    ),
    errors.TIMEOUT: ("answer", "takes too long", "See how busy the portal's server is."),
    errors.UNREACHABLE: (
        "answer",
        "breaks off",
        "See the log of the portal's web server, and of what stands in front of it.",
    ),
}


def check(portal: Portal, portals: Installations) -> Iterator[CheckResult]:
    """Yield what works, in order, up to the first step that does not. No secret is sent."""
    parts = urlsplit(portal.origin)
    secure = parts.scheme == "https"
    error = _ask(portal, portals)
    failed, says, mend = CAUSES.get(error.code if error else "", ("answer", "", ""))
    for step, good in STEPS.items():
        if step == "certificate" and not secure:
            continue
        if step == failed:
            yield CheckResult(step, "wrong", says, mend) if says else _answer(error)
            return
        addresses = f" ({_addresses(parts.hostname or '', parts.port or (443 if secure else 80))})"
        yield CheckResult(step, "good", f"{parts.netloc} {good}{addresses}" if step == "name" else good)


def _ask(portal: Portal, portals: Installations) -> Bitrix24Error | None:
    try:
        portals.client(portal.origin, record=record_nothing).call("app.info", token=NO_TOKEN, read_only=True)
    except Bitrix24Error as error:
        return error
    return None


def _addresses(host: str, port: int) -> str:
    try:
        return ", ".join(dict.fromkeys(resolve(host, port, seconds=LOOKUP_SECONDS)))
    except (OSError, ValueError):
        return "unknown"


def _answer(error: Bitrix24Error | None) -> CheckResult:
    """Return what an answer says: a portal refuses a token that is none, in Bitrix24's words."""
    if error is None:
        return CheckResult("answer", "wrong", "accepts any token", "This is no Bitrix24 portal.")
    if isinstance(error, NotAnswered):
        mend = "See what the address serves; a portal answers /rest/app.info with JSON."
        return CheckResult("answer", "wrong", f"is none of a Bitrix24 portal ({error.code})", mend)
    if isinstance(error, PortalMoved):
        mend = "The next opening, or the next run, asks the authorization server where the portal is."
        return CheckResult("answer", "warning", "redirects to another address", mend)
    if isinstance(error, Limited):
        return CheckResult("answer", "warning", f"is that it is busy ({error.code})", "Try again in a minute.")
    if isinstance(error, PortalRefused):
        mend = "The portal's owner opens it again, or renews the subscription."
        return CheckResult("answer", "warning", f"is that it is closed or unpaid ({error.code})", mend)
    return CheckResult("answer", "good", STEPS["answer"])
