"""Stream downloads, of which a process sends only a few at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial

from flask import Response

from dashboard.web.http.context import services


class TooManyDownloads(Exception):
    """As many downloads as allowed are under way in this process; the client may try again soon."""


def stream(start: Callable[[], Iterator[str]], *, mimetype: str, filename: str = "") -> Response:
    """Return a response whose parts are produced while it is sent.

    ``start`` may fail with an error page; later errors break off the transfer. Clients may receive slowly, so
    only a quarter of the threads send downloads.

    :raise TooManyDownloads: they do already.
    """
    slots = services().download_slots
    if not slots.acquire(blocking=False):
        raise TooManyDownloads
    with ExitStack() as stack:
        stack.callback(slots.release)
        # The parts are translated in the request's context, after Flask has left it.
        part = partial(copy_context().run, next, start(), None)
        slot = stack.pop_all()
    response = Response(_parts(part, slot), mimetype=mimetype)
    response.call_on_close(slot.close)
    if filename:
        response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def _parts(part: Callable[[], str | None], slot: ExitStack) -> Iterator[str]:
    """Yield the parts, and release the slot after the last one, or when nobody reads on."""
    with slot:
        yield from iter(part, None)
