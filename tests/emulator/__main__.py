"""Serve the emulator until it is told to stop: `python -m tests.emulator`."""

import argparse
import os
import signal
import threading

from .emulator import Emulator
from .newcomers import newcomers
from .rehearsal import rehearse


def main() -> None:
    """Serve on the ports asked for; print the addresses."""
    options = _options()
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    emulator = Emulator(
        app_url=options.app_url,
        client_id=options.client_id,
        client_secret=os.environ.get("BITRIX24_CLIENT_SECRET", "emulated"),
        authorization_port=options.auth_port,
        portal_port=options.portal_port,
        events="auto",
    )
    emulator.world.rehearsing = options.team
    with emulator:
        # On a thread, so that a signal is heeded while the application is still starting.
        threading.Thread(target=_begin, args=(emulator,), kwargs={"team": options.team}, daemon=True).start()
        stopping.wait()


def _begin(emulator: Emulator, *, team: bool) -> None:
    alpha, beta = emulator.portal("alpha"), emulator.portal("beta")
    if team:
        # Whoever looks for the first time reads English; the others keep their own languages.
        alpha.people["anna"].lang = "en"
        alpha.add_people(*newcomers())
        alpha.grant_scope("department")
        try:
            rehearse(alpha)
        finally:
            emulator.world.rehearsing = False
        emulator.clear()
    print(f"Portal Alpha: {alpha.origin}/")
    print(f"Portal Beta: {beta.origin}/")
    print(f"Authorization server: {emulator.authorization_server}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--app-url", default="http://127.0.0.1:8000")
    parser.add_argument("--portal-port", type=int, default=0)
    parser.add_argument("--auth-port", type=int, default=0)
    parser.add_argument(
        "--client-id",
        default=os.environ.get("BITRIX24_CLIENT_ID", "app.demo.1"),
        help="the secret comes from BITRIX24_CLIENT_SECRET alone, never from the command line",
    )
    parser.add_argument(
        "--team",
        action="store_true",
        help="wait for the application, install it in Alpha and open it as nearly everybody there",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
