"""Methods about placements; all but the list are for administrators."""

import re
from typing import Any

from ..application import Placement
from ..errors import RestError
from ..php import array, entries
from .bindings import check_handler
from .registry import Call, method, missing_argument

# A placement that needs a tool's permission besides its own does not exist without one of these.
CODES: dict[str, tuple[str, ...]] = {
    "CALENDAR_GRIDVIEW": ("calendar",),
    "LEFT_MENU": (),
    "REST_APP_URI": (),
    "PAGE_BACKGROUND_WORKER": (),
    "IM_NAVIGATION": (),
    "IM_SIDEBAR": (),
    "USER_PROFILE_MENU": ("user", "user_basic", "user_brief"),
    "USER_PROFILE_TOOLBAR": ("user", "user_basic", "user_brief"),
}
SINGLE = {"REST_APP_URI", "PAGE_BACKGROUND_WORKER"}
CONTEXTS = {"ALL", "USER", "CHAT", "LINES", "CRM"}


@method("placement.list", "placement")
def placement_list(call: Call) -> list[str]:
    """List the codes the application may bind."""
    granted, lacking = call.portal.application.scopes, call.portal.lacks_placements
    return [
        code
        for code, scopes in CODES.items()
        if code not in lacking and (not scopes or any(scope in granted for scope in scopes))
    ]


@method("placement.bind", "placement")
def placement_bind(call: Call) -> bool:
    """Bind a handler to a place in the portal's pages."""
    call.require_admin()
    code, url = _code_of(call), str(call.param("handler") or "")
    if code not in placement_list(call):
        raise RestError("ERROR_PLACEMENT_NOT_FOUND", "Placement not found")
    if not url:
        raise missing_argument("HANDLER")
    check_handler(url)
    _refuse_second(call, code=code, url=url)
    if code == "IM_SIDEBAR":
        _check_sidebar(call.fields("options"))
    call.portal.application.placements.append(
        Placement(
            code=code,
            url=url,
            title=str(call.param("title") or ""),
            description=str(call.param("description") or ""),
            lang_all={key: entries(texts) for key, texts in call.fields("lang_all").items()},
            options=call.fields("options"),
        )
    )
    return True


def _refuse_second(call: Call, *, code: str, url: str) -> None:
    bound = [one for one in call.portal.application.placements if one.code == code]
    if bound and code in SINGLE:
        text = "Placement max count was exceeded"
        raise RestError("ERROR_PLACEMENT_MAX_COUNT", text, status=200)
    if any(one.url == url for one in bound):
        text = "Unable to set placement handler: Handler already binded"
        raise RestError("ERROR_CORE", text)


def _check_sidebar(options: dict[str, Any]) -> None:
    """Refuse options that the messenger does not know; an icon is required."""
    if not re.fullmatch(r"[a-z -]{1,50}", str(options.get("iconName") or "")):
        raise missing_argument("iconName")
    if not set(str(options.get("context") or "ALL").split(";")) <= CONTEXTS:
        raise RestError("INVALID_ERROR_CONTEXT", "Invalid context")
    if str(options.get("extranet") or "N") not in {"Y", "N"}:
        raise RestError("INVALID_ERROR_EXTRANET", "Invalid extranet")
    if str(options.get("role") or "USER") not in {"USER", "ADMIN"}:
        raise RestError("INVALID_ERROR_ROLE", "Invalid role")


@method("placement.get", "placement")
def placement_get(call: Call) -> list[dict[str, Any]]:
    """List what is bound."""
    call.require_admin()
    return [
        {
            "placement": one.code,
            "userId": 0,
            "handler": one.url,
            "options": array(one.options),
            "title": one.title,
            "description": one.description,
            "langAll": array(one.lang_all),
        }
        for one in call.portal.application.placements
    ]


@method("placement.unbind", "placement")
def placement_unbind(call: Call) -> dict[str, int]:
    """Unbind; each handler is counted twice, as the real method does."""
    call.require_admin()
    code, url = _code_of(call), str(call.param("handler") or "")
    application = call.portal.application
    removed = [one for one in application.placements if one.code == code and url in {"", one.url}]
    application.placements = [one for one in application.placements if one not in removed]
    return {"count": 2 * len(removed)}


def _code_of(call: Call) -> str:
    code = str(call.param("placement") or "").upper()
    if not code:
        raise missing_argument("PLACEMENT")
    return code
