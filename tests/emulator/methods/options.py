"""Methods about options kept by the portal: the application's and each person's."""

from typing import Any

from ..errors import RestError
from ..php import array
from .registry import Call, method


@method("app.option.get")
def app_option_get(call: Call) -> Any:
    """Tell one of the application's options, or all."""
    return _get(call, call.portal.application.options)


@method("app.option.set")
def app_option_set(call: Call) -> bool:
    """Store options of the application; administrators only."""
    if not call.person.admin:
        raise RestError("AccessException", "Administrator authorization required")
    call.portal.application.options |= _wanted(call)
    return True


@method("user.option.get")
def user_option_get(call: Call) -> Any:
    """Tell one of the person's options, or all."""
    return _get(call, call.person.options)


@method("user.option.set")
def user_option_set(call: Call) -> bool:
    """Store options of the person."""
    call.person.options |= _wanted(call)
    return True


def _get(call: Call, stored: dict[str, Any]) -> Any:
    name = call.param("option")
    return array(stored) if name is None else stored.get(str(name))


def _wanted(call: Call) -> dict[str, Any]:
    wanted = call.fields("options")
    if not wanted:
        raise RestError("ArgumentNullException", "options is empty")
    return wanted
