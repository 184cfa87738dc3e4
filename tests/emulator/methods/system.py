"""Methods about the application and the server: app.info, scope, method.get, server.time."""

from typing import Any

from ..clock import iso
from ..php import truthy
from .registry import METHODS, Call, method

ALL_SCOPES = ["calendar", "crm", "department", "im", "placement", "task", "user", "user_brief"]


@method("app.info")
def app_info(call: Call) -> dict[str, Any]:
    """Tell what the portal knows of the application; nothing of the person or the portal."""
    application = call.portal.application
    return {
        "ID": 5,
        "CODE": call.portal.world.code_of(call.client_id),
        "VERSION": application.version,
        "STATUS": application.status,
        "INSTALLED": application.installed,
        "PAYMENT_EXPIRED": "Y" if application.trial_over else "N",
        "DAYS": None,
        "LANGUAGE_ID": "en",
        "LICENSE": "de_ent250",
        "LICENSE_TYPE": "ent250",
        "LICENSE_FAMILY": "ent",
    }


@method("scope")
def scope(call: Call) -> list[str]:
    """List the granted scopes, or all there are."""
    if truthy(call.param("full")):
        return ALL_SCOPES
    return list(call.portal.application.scopes)


@method("method.get")
def method_get(call: Call) -> dict[str, bool]:
    """Tell whether a method exists here and is within the granted scopes."""
    result = METHODS.get(str(call.param("name", "")).lower())
    granted = call.portal.application.scopes
    return {
        "isExisting": result is not None,
        "isAvailable": result is not None and result.allowed(granted),
    }


@method("server.time")
def server_time(call: Call) -> str:
    """Tell the time."""
    return iso(call.portal.world.clock.now())
