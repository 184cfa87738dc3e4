"""The stylesheet and the scripts, under addresses that name their content, so that browsers may keep them."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound

ROOT = Path(__file__).parents[3] / "static"
# The order of the stylesheet's files is that of its layers; within a folder, the alphabet.
STYLES = ("tokens.css", "base.css", "layout.css", "components/*.css", "pages/*.css")
TYPES = {".css": "text/css", ".js": "text/javascript"}
# One line that imports from another module, or exports what that one exports already.
_IMPORT = re.compile(r'^(?:import|export) .+ from "(\.[^"]+)";\n', re.MULTILINE)
CACHE_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    """What is sent: as it is, and compressed once for all who take it so."""

    plain: bytes
    compressed: bytes
    type: str


class StaticFiles:
    """The files of the pages as they were at the start, or with ``watch`` as they are at each request."""

    def __init__(self, root: Path = ROOT, *, watch: bool = False) -> None:
        self._root = root
        self._watch = watch
        self._read()

    def address(self, name: str) -> str:
        """Return where a file is to be had; the address changes when any of them does.

        Scripts import each other by relative addresses, which therefore change with it.
        """
        self._look_again()
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self.digest}/{name}"

    def find(self, name: str) -> StaticFile | None:
        self._look_again()
        return self._files.get(name)

    def _look_again(self) -> None:
        if self._watch and self._stamp() != self._seen:
            self._read()

    def _read(self) -> None:
        self._seen = self._stamp()
        contents = {"app.css": b"".join(path.read_bytes() for path in self._styles())}
        contents |= {str(path.relative_to(self._root)): _joined(path) for path in self._scripts()}
        self.digest = sha256(repr(sorted(contents.items())).encode()).hexdigest()[:12]
        self._files = {name: _file(name, content) for name, content in contents.items()}

    def _styles(self) -> list[Path]:
        folder = self._root / "css"
        return [path for pattern in STYLES for path in sorted(folder.glob(pattern))]

    def _scripts(self) -> list[Path]:
        return sorted((self._root / "js").glob("*.js"))

    def _stamp(self) -> list[tuple[Path, int]]:
        paths = (*self._styles(), *(module for path in self._scripts() for module in _modules(path)))
        return [(path, path.stat().st_mtime_ns) for path in paths]


def _modules(script: Path) -> list[Path]:
    """Return the modules in the folder named like the script, then the script itself."""
    return [*sorted(script.with_suffix("").glob("*.js")), script]


def _joined(script: Path) -> bytes:
    """Return the script and its modules as one module.

    They share one scope then, so a name at the top level may be defined in one of them only, and since they
    come in the alphabet's order, only the script itself does anything at once. What they import from each
    other is there already; what they import from other scripts, by "../", is imported once.
    """
    imported: dict[str, None] = {}

    def unless_here(line: re.Match[str]) -> str:
        if line[1].startswith("../"):
            imported[line[0]] = None
        return ""

    bodies = [_IMPORT.sub(unless_here, module.read_text(encoding="utf-8")) for module in _modules(script)]
    return "".join([*imported, *bodies]).replace('"../', '"./').encode()


# Whoever watches compresses only what has changed.
@lru_cache(maxsize=256)
def _file(name: str, content: bytes) -> StaticFile:
    # Without the time of day in it, the same content is the same file in every process.
    return StaticFile(content, gzip.compress(content, mtime=0), TYPES[Path(name).suffix])


def install(app: Flask, assets: StaticFiles) -> None:
    """Serve the files, and tell the templates where they are."""
    app.jinja_env.globals["asset"] = assets.address

    @app.get("/static/<digest>/<path:name>")
    def asset(digest: str, name: str) -> Response:
        """Send a file. One asked for by another version's address is sent as it is now, and not kept."""
        file = assets.find(name)
        if file is None:
            raise NotFound
        compressed = request.accept_encodings.quality("gzip") > 0
        response = Response(file.compressed if compressed else file.plain, mimetype=file.type)
        response.vary.add("Accept-Encoding")
        if compressed:
            response.content_encoding = "gzip"
        if digest == assets.digest:
            response.headers["Cache-Control"] = CACHE_FOREVER
        return response
