"""The application without what only development has: optional libraries, and static files that are read again."""

import sys

for _name in ("greenlet", "pygments", "rich"):  # None: cannot be imported, as in production
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type]  # typed as modules only

from app import create_app  # noqa: E402  # after the names above
from dashboard.web.http.static_files import StaticFiles  # noqa: E402  # as above

StaticFiles._mtimes = lambda self: []  # type: ignore[method-assign]  # no file changes here
__all__ = ["create_app"]
