"""Decorators for views that not everyone may use, and the pages that refuse the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from dashboard.people import access
from dashboard.web.auth.sessions import CurrentUser, UserView
from dashboard.web.errors.handlers import answer
from dashboard.web.errors.notices import Notice
from dashboard.web.errors.responses import ErrorResponse
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _
from dashboard.web.presenters.filters import bdi, join_words

P = ParamSpec("P")

# Addresses that are pages; the others answer programs.
PAGES = ("/team", "/insights", "/admin", "/admin/team", "/admin/calls", "/admin/forget")


def confirmed(view: UserView[P]) -> UserView[P]:
    """Ask Bitrix24 for the user's rights before the view runs; for views that export, delete or decide.

    It stands above the decorator that requires a right, which then goes by the answer.
    """

    @wraps(view)
    def checked(user: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        services().permissions.confirm(user.portal, user.person)
        return view(user, *args, **kwargs)

    return checked


def team_viewer(view: UserView[P]) -> UserView[P]:
    """Require a user who may see the team."""

    @wraps(view)
    def checked(user: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if _is_allowed(user, lambda: access.can_see_team(user.portal, user.person)):
            return view(user, *args, **kwargs)
        return _refuse(_team_not_allowed(user))

    return checked


def administrator(view: UserView[P]) -> UserView[P]:
    """Require a portal administrator."""

    @wraps(view)
    def checked(user: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if _is_allowed(user, lambda: user.person.is_admin):
            return view(user, *args, **kwargs)
        return _refuse(_admin_only())

    return checked


def _is_allowed(user: CurrentUser, has_right: Callable[[], bool]) -> bool:
    """Tell whether the stored rights suffice, and still do after Bitrix24 confirmed them in the last minutes."""
    if not has_right():
        return False
    services().permissions.confirm_lately(user.portal, user.person)
    return has_right()


def _refuse(failure: ErrorResponse) -> ResponseReturnValue:
    if request.path in PAGES:
        return answer(failure)
    return jsonify(error=failure.notice.code), failure.status


def _team_not_allowed(user: CurrentUser) -> ErrorResponse:
    names = []
    # A guest of the portal learns nobody's name; whoever is in no list yet may be one.
    if user.person.listed:
        with services().database.read_session() as session:
            names = access.administrators(session, user.portal)
    if names:
        text = Markup(_("Ask an administrator (%(names)s) to make it visible to everyone on the Admin page."))  # noqa: S704  # a translation
        action: str = text % {"names": join_words(map(bdi, names))}
    else:
        action = _("Ask an administrator to make it visible to everyone on the Admin page.")
    notice = Notice(
        "team_not_allowed",
        _("You can't see the team"),
        _("In this portal, only administrators can see everyone's settings. You can see your own."),
        _("What to do:"),
        action,
    )
    return ErrorResponse(403, notice)


def _admin_only() -> ErrorResponse:
    notice = Notice(
        "admin_only",
        _("This page is for administrators"),
        _("Decisions made here apply to everyone in the portal."),
        _("What to do:"),
        _("If you were just made an administrator, open the app again from your portal's menu."),
    )
    return ErrorResponse(403, notice)
