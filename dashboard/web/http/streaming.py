"""Stream downloads, of which a process sends only a few at once."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from typing import TypeAlias

import structlog
from flask import Response, g, request
from werkzeug.exceptions import ServiceUnavailable

from dashboard.portals.deletion import InstallationEnded
from dashboard.web.http.client_socket import ClientSocket, SlowClient
from dashboard.web.http.context import services

# How long a download may wait for its client: seconds at once, and more with every byte that was sent.
GRACE_SECONDS = 10.0
MIN_BYTES_PER_SECOND = 32 * 1024

log = structlog.get_logger()

Part: TypeAlias = str | bytes | None  # None: there are no more


def stream(start: Callable[[], Iterator[str | bytes]], *, mimetype: str, filename: str = "") -> Response:
    """Return a response to the signed-in user whose parts are produced while it is sent.

    Until the first part is there, an error becomes an error page; later ones break off the transfer, and so does the
    loss of its slot.

    :raise SlotRefused: this process already sends the user a download, or too many to the user's portal.
    :raise InstallationEnded: the portal's data was deleted before the first part was there.
    """
    portal, person = g.portal, g.person
    cut_off = partial(log.warning, "download_cut_off", portal=portal.id, person=person.id)
    # Without gunicorn there is no connection to end, so the preempted download continues.
    end = partial(_end, request.environ.get("gunicorn.socket"), cut_off)
    with ExitStack() as stack:
        # Pass the portal's queue before taking a slot, because taking one may end somebody else's download.
        stack.enter_context(services().portal_queue.hold(portal.member_id))
        slots = services().download_slots
        stack.enter_context(slots.hold(portal=portal.member_id, person=person.user_id, on_preempt=end))
        # The parts are translated in the request's context, after Flask has left it.
        part = partial(copy_context().run, next, start(), None)
        first = _first_part(part)
        slot = stack.pop_all()
    response = Response(_parts(first, part, slot, cut_off), mimetype=mimetype)
    response.call_on_close(slot.close)
    if filename:
        response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def _end(connection: ClientSocket | None, cut_off: Callable[..., None]) -> None:
    """End the connection of a download that another thread sends, which then stops waiting for its client."""
    cut_off()
    if connection is not None:
        connection.break_off()


def _first_part(part: Callable[[], Part]) -> Part:
    """Produce the first part.

    :raise ServiceUnavailable: the folder of temporary files has no room.
    """
    try:
        return part()
    except OSError as error:
        log.error("temporary_file_not_written", reason=type(error).__name__, code=error.errno)
        raise ServiceUnavailable from None


def _parts(first: Part, part: Callable[[], Part], slot: ExitStack, cut_off: Callable[..., None]) -> Iterator[bytes]:
    """Yield the parts, and release the slot after the last one, or when nobody reads on.

    :raise SlowClient: the client receives them too slowly.
    :raise ConnectionResetError: the portal's data was deleted meanwhile. Gunicorn ends the connection and logs nothing.
    """
    sent, waited = 0, 0.0
    with slot:
        text = first
        while text is not None:
            content = text.encode() if isinstance(text, str) else text
            began = time.monotonic()
            yield content
            waited += time.monotonic() - began
            sent += len(content)
            if waited > GRACE_SECONDS + sent / MIN_BYTES_PER_SECOND:
                cut_off(sent=sent, seconds=round(waited))
                raise SlowClient
            try:
                text = part()
            except InstallationEnded:
                cut_off(sent=sent, seconds=round(waited), reason="installation_ended")
                raise ConnectionResetError(errno.ECONNRESET, "the installation has ended") from None
