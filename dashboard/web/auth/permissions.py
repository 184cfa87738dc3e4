"""Restrict views to administrators or team viewers, and tell everyone else why they are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import ParamSpec

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from dashboard.people import access
from dashboard.people.access import TeamAccess
from dashboard.web.auth.sessions import CurrentUser, UserView
from dashboard.web.errors.handlers import render_error
from dashboard.web.errors.responses import ErrorResponse, response_for_code
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import labels
from dashboard.web.presenters.filters import bdi

P = ParamSpec("P")

# Paths of pages; the other paths answer programs with JSON.
PAGES = (
    *("/team", "/team/invitation", "/team/<int:user_id>/history", "/insights", "/insights/<code>"),
    *("/plan", "/plan/people", "/plan/groups", "/plan/groups/<int:group_id>/delete"),
    *("/admin", "/admin/team", "/admin/first-steps", "/admin/recommended", "/admin/changes", "/admin/calls"),
    "/admin/forget",
)


def confirm_rights_first(view: UserView[P]) -> UserView[P]:
    """Ask Bitrix24 for the user's rights before the view runs; for exports, deletions and decisions for everyone.

    Place this decorator above the permission decorator, which then checks the fresh rights.
    """

    @wraps(view)
    def wrapper(user: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        services().permissions.confirm(user.portal, user.person)
        return view(user, *args, **kwargs)

    return wrapper


def team_viewer(view: UserView[P]) -> UserView[P]:
    """Require a user who may see the team."""
    return _restrict(view, has_confirmed_team_access, team_refusal)


def whole_team_viewer(view: UserView[P]) -> UserView[P]:
    """Require a user who may see all people of the team, because the view counts them together."""

    def is_allowed(user: CurrentUser) -> bool:
        return _is_confirmed(user, lambda: access.can_see_whole_team(user.portal, user.person))

    return _restrict(view, is_allowed, team_refusal)


def has_stored_team_access(user: CurrentUser) -> bool:
    """Tell whether the user may see the team, or a part of it, by what is stored."""
    with services().database.read_session() as session:
        return access.can_see_team(session, user.portal, user.person)


def has_confirmed_team_access(user: CurrentUser) -> bool:
    """Tell whether the user may see the team or a part of it, as Bitrix24 has confirmed within the last minutes."""
    return _is_confirmed(user, lambda: has_stored_team_access(user))


def administrator(view: UserView[P]) -> UserView[P]:
    """Require a portal administrator."""

    def is_allowed(user: CurrentUser) -> bool:
        return _is_confirmed(user, lambda: user.person.is_admin)

    return _restrict(view, is_allowed, lambda _user: response_for_code("admin_only"))


def _restrict(
    view: UserView[P], is_allowed: Callable[[CurrentUser], bool], refusal: Callable[[CurrentUser], ErrorResponse]
) -> UserView[P]:
    @wraps(view)
    def wrapper(user: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        return view(user, *args, **kwargs) if is_allowed(user) else _refuse(refusal(user))

    return wrapper


def _is_confirmed(user: CurrentUser, has_right: Callable[[], bool]) -> bool:
    """Check the stored rights, and check them again after Bitrix24 has confirmed them within the last minutes."""
    if not has_right():
        return False
    services().permissions.ensure_recently_confirmed(user.portal, user.person)
    return has_right()


def _refuse(response: ErrorResponse) -> ResponseReturnValue:
    if request.url_rule is not None and request.url_rule.rule in PAGES:
        return render_error(response)
    return jsonify(error=response.notice.code), response.status


def team_refusal(user: CurrentUser) -> ErrorResponse:
    """Return who may see the team, and whom the user can ask for it."""
    # Administrators cannot let guests see the team. `listed` is None until the list of employees is read.
    if user.person.listed is False or user.portal.team_open:
        return response_for_code("employees_only")
    is_for_heads = access.team_access(user.portal) == TeamAccess.HEADS
    response = response_for_code("heads_only" if is_for_heads else "team_not_allowed")
    # Guests must not see names, and a person who is not listed yet may be a guest.
    if not user.person.listed:
        return response
    with services().database.read_session() as session:
        if access.can_see_team(session, user.portal, user.person):
            return response_for_code("insights_not_allowed")
        administrator = access.whom_to_ask(session, user.portal)
    if administrator is None:
        return response
    text = Markup(_("Ask %(name)s for access. You can always see your own settings."))  # noqa: S704  # a translation
    message = _("Could you let me see the team in “Team Hours”? You can choose who sees it on the Admin page.")
    notice = replace(
        response.notice,
        explanation=text % {"name": bdi(labels.person_name(administrator[1], administrator[0]))},
        request=message,
    )
    return replace(response, notice=notice)
