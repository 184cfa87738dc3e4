"""Files and bytes of the first page in the frame, as a proxy that compresses sends them."""

from __future__ import annotations

import gzip
import re
import urllib.request
from collections.abc import Iterator
from urllib.parse import urljoin

from bench import people
from bench.bench import Bench
from bench.results import Row

LINKED = re.compile(r'<(?:link[^>]+href|script[^>]+src)="([^"]+)"')
IMPORTED = re.compile(r"""(?:@import\s+(?:url\()?|^\s*import[^"';]*|\bfrom\s*)["']([^"']+)["']""", re.MULTILINE)


def measure(bench: Bench) -> Iterator[Row]:
    """Open, then fetch what the page names, and what that names; Bitrix24's own library is not ours."""
    with bench.application() as application:
        page = people.open_as(application, bench.upstream, 0, 1)
        files = {application.url + "/": page.encode()}
        ahead = [urljoin(application.url, name) for name in LINKED.findall(page)]
        while ahead:
            address = ahead.pop()
            if address in files or not address.startswith(application.url):
                continue
            with urllib.request.urlopen(address, timeout=10) as answer:
                files[address] = answer.read()
            ahead += [urljoin(address, name) for name in IMPORTED.findall(files[address].decode())]
    packed = sum(len(gzip.compress(content, 6)) for content in files.values())
    yield Row("first page: files of ours", "files", [len(files)], goal=5)
    yield Row("first page: bytes, compressed", "KB", [packed / 1000], goal=60)
    yield Row("first page: bytes, as they are", "KB", [sum(map(len, files.values())) / 1000])
