"""Who is let in to what, and what the others are told: who can change that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeAlias

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from dashboard.core.database import Database
from dashboard.people import access
from dashboard.people.permission_checks import PermissionChecks
from dashboard.web.auth.sessions import CurrentUser
from dashboard.web.errors.handlers import answer
from dashboard.web.errors.notices import Notice
from dashboard.web.errors.responses import ErrorResponse
from dashboard.web.i18n.translations import _
from dashboard.web.presenters.filters import bdi, join_words

P = ParamSpec("P")
View: TypeAlias = Callable[Concatenate[CurrentUser, P], ResponseReturnValue]

# Addresses that are pages; the others answer programs.
PAGES = ("/team", "/insights", "/admin", "/admin/team", "/admin/calls", "/admin/forget")


class Permissions:
    """Decorators for views that are not for everyone. They read the reader's row as it is at each request.

    What they let in by that row, Bitrix24 has confirmed within some minutes; ``confirmed`` asks it each time.
    """

    def __init__(self, database: Database, checks: PermissionChecks) -> None:
        self._database = database
        self._checks = checks

    def confirmed(self, view: View[P]) -> View[P]:
        """Have Bitrix24 confirm the reader at this moment; for what exports, deletes or decides.

        It stands before the permission that is asked for, which then goes by what Bitrix24 has said.
        """

        @wraps(view)
        def checked(reader: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            self._checks.confirm(reader.portal, reader.person)
            return view(reader, *args, **kwargs)

        return checked

    def team(self, view: View[P]) -> View[P]:
        """Let those in who may see the team."""

        @wraps(view)
        def checked(reader: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            if self._has_permission(reader, lambda: access.can_see_team(reader.portal, reader.person)):
                return view(reader, *args, **kwargs)
            with self._database.read_session() as session:
                # A guest of the portal learns nobody's name; who is in no list yet may be one.
                names = access.administrators(session, reader.portal) if reader.person.listed else ()
            return _refuse(_team_not_allowed(names))

        return checked

    def administrators(self, view: View[P]) -> View[P]:
        """Let administrators in, as Bitrix24 called them some minutes ago."""

        @wraps(view)
        def checked(reader: CurrentUser, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            if self._has_permission(reader, lambda: reader.person.is_admin):
                return view(reader, *args, **kwargs)
            return _refuse(_admin_only())

        return checked

    def _has_permission(self, reader: CurrentUser, permitted: Callable[[], bool]) -> bool:
        """Tell whether the reader is permitted by the stored row, and by a confirmation of it."""
        if not permitted():
            return False
        self._checks.confirm_lately(reader.portal, reader.person)
        return permitted()


def _refuse(failure: ErrorResponse) -> ResponseReturnValue:
    if request.path in PAGES:
        return answer(failure)
    return jsonify(error=failure.notice.code), failure.status


def _team_not_allowed(names: Sequence[str]) -> ErrorResponse:
    if names:
        told = Markup(_("Ask an administrator (%(names)s) to make it visible to everyone on the Admin page."))  # noqa: S704  # a translation
        action: str = told % {"names": join_words(map(bdi, names))}
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
