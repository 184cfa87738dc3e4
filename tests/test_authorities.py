"""Whom a connection trusts: certifi's authorities and the machine's own, read once a process."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.errors import Unreachable
from dashboard.bitrix24.transport import Transport

ROOT = Path(__file__).parent.parent
# Asks addresses one after another; prints the status of each, or the error's code.
ASK = """
import sys
from dashboard.core import logging_setup
from dashboard.bitrix24.errors import Unreachable
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.transport import Transport
logging_setup.configure(level="error", style="json")
transport = Transport(AddressPolicy(loopback=True))
for address in sys.argv[1:]:
    try:
        print(transport.post(address, json={}).status)
    except Unreachable as error:
        print(error.code)
"""


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Portal:
    """A portal with a certificate of a company's own authority, good for 127.0.0.1."""

    port: int
    authority: Path


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    """Give a portal that answers."""
    authority, trusted, certificate = trustme.CA(), tmp_path / "authority.pem", tmp_path / "portal.pem"
    authority.cert_pem.write_to_path(trusted)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Portal(server.server_port, trusted)
    server.shutdown()
    server.server_close()


def test_a_strangers_certificate_is_refused(portal: Portal) -> None:
    with pytest.raises(Unreachable, match="certificate_untrusted"):
        Transport(AddressPolicy(loopback=True)).post(f"https://127.0.0.1:{portal.port}/", json={})


def test_the_machines_own_authority_is_trusted_and_the_name_still_counts(portal: Portal) -> None:
    addresses = [f"https://{host}:{portal.port}/" for host in ("127.0.0.1", "localhost")]

    requests = subprocess.run(
        [sys.executable, "-c", ASK, *addresses],
        env=os.environ | {"SSL_CERT_FILE": str(portal.authority)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    # The certificate is for 127.0.0.1; the same server under another name is a stranger.
    assert requests.stdout.split() == ["200", "certificate_untrusted"]
