"""Serve stylesheet and scripts under addresses that contain their hash, so that browsers can cache them."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound

ROOT = Path(__file__).parents[3] / "static"
# The stylesheet's layers, in this order; within a folder, files in alphabetical order.
STYLES = ("tokens.css", "base.css", "layout.css", "components/*.css", "pages/*.css")
# Loaded only with the pages that need them. Of the pages' stylesheets, *My settings*, which most people open first,
# needs only its own, and it needs none of DEFERRED_COMPONENTS.
PAGE_STYLES = {"plan.css": "plan/*.css"}
FIRST_PAGE = "me"
DEFERRED_COMPONENTS = (
    *("bar_chart", "checklist", "chips", "copy_text", "day_histogram", "days", "details", "face", "filters", "folds"),
    *("legend", "menu", "pager", "people_chart", "segmented", "table", "tally"),
)
TYPES = {".css": "text/css", ".js": "text/javascript"}
# One line that imports from another module, or re-exports from it.
IMPORT = re.compile(r'^(?:import|export) .+ from "(\.[^"]+)";\n', re.MULTILINE)
# For readers of the source, not for browsers: comments, blank lines and, in stylesheets, indentation.
STYLE_COMMENTS = re.compile(rb"/\*.*?\*/", re.DOTALL)
LINE_STARTS = re.compile(rb"\s*\n\s*")
SCRIPT_COMMENTS = re.compile(r"^(?:[ \t]*//.*)?\n", re.MULTILINE)
CACHE_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    """A file's content, plain and compressed."""

    plain: bytes
    compressed: bytes
    type: str


class StaticFiles:
    """The static files, read at the start; with ``watch``, they are read again when one changes."""

    def __init__(self, root: Path = ROOT, *, watch: bool = False) -> None:
        self._root = root
        self._watch = watch
        self._read()

    def url(self, name: str) -> str:
        """Return the URL of a file.

        All files share one hash, because scripts import each other by relative addresses.
        """
        if self.find(name) is None:
            raise KeyError(name)
        return f"/static/{self.digest}/{name}"

    def find(self, name: str) -> StaticFile | None:
        """Return a file, None if there is none with this name."""
        if self._watch and self._mtimes() != self._read_mtimes:
            self._read()
        return self._files.get(name)

    def _read(self) -> None:
        self._read_mtimes = self._mtimes()
        contents = {name: _stylesheet(paths) for name, paths in self._styles().items()}
        contents |= {f"js/{path.name}": _bundle(path) for path in self._scripts()}
        self.digest = sha256(repr(sorted(contents.items())).encode()).hexdigest()[:12]
        self._files = {
            # Without a time stamp the same content compresses to the same bytes in every process.
            name: StaticFile(content, gzip.compress(content, mtime=0), TYPES[Path(name).suffix])
            for name, content in contents.items()
        }

    def _styles(self) -> dict[str, list[Path]]:
        def find(*patterns: str) -> list[Path]:
            return [path for pattern in patterns for path in sorted((self._root / "css").glob(pattern))]

        shared = find(*STYLES)
        return {
            "app.css": [path for path in shared if not self._is_deferred(path)],
            "pages.css": [path for path in shared if self._is_deferred(path)],
            **{name: find(pattern) for name, pattern in PAGE_STYLES.items()},
        }

    def _is_deferred(self, path: Path) -> bool:
        """Tell whether a stylesheet is loaded only with pages other than the first."""
        if path.parent.name == "components":
            return path.stem in DEFERRED_COMPONENTS
        return path.parent.name == "pages" and path.stem != FIRST_PAGE

    def _scripts(self) -> list[Path]:
        return sorted((self._root / "js").glob("*.js"))

    def _mtimes(self) -> list[tuple[Path, int]]:
        styles = (path for paths in self._styles().values() for path in paths)
        paths = (*styles, *(module for path in self._scripts() for module in _modules(path)))
        return [(path, path.stat().st_mtime_ns) for path in paths]


def _stylesheet(paths: list[Path]) -> bytes:
    """Return the stylesheets as one, without comments and indentation."""
    text = STYLE_COMMENTS.sub(b"", b"".join(path.read_bytes() for path in paths))
    return LINE_STARTS.sub(b"\n", text).lstrip()


def _modules(script: Path) -> list[Path]:
    """Return the modules in the folder named like the script, then the script itself."""
    return [*sorted(script.with_suffix("").glob("*.js")), script]


def _bundle(script: Path) -> bytes:
    """Return the script and its modules as one module.

    The modules share one scope, so a top-level name may be defined only once, and only the script itself may run
    code when it is loaded. Imports between the modules are dropped; those from other scripts ("../") are kept once.
    Lines that are comments are dropped too.
    """
    imports: dict[str, None] = {}

    def keep_import(line: re.Match[str]) -> str:
        if line[1].startswith("../"):
            imports[line[0]] = None
        return ""

    texts = (SCRIPT_COMMENTS.sub("", module.read_text(encoding="utf-8")) for module in _modules(script))
    bodies = [IMPORT.sub(keep_import, text) for text in texts]
    return "".join([*imports, *bodies]).replace('"../', '"./').encode()


def install(app: Flask, files: StaticFiles) -> None:
    """Serve the files, and give templates their addresses."""
    app.jinja_env.globals["asset"] = files.url

    @app.get("/static/<digest>/<path:name>")
    def asset(digest: str, name: str) -> Response:
        """Send the current file; it is cacheable only if the hash in the URL is current."""
        file = files.find(name)
        if file is None:
            raise NotFound
        compressed = request.accept_encodings.quality("gzip") > 0
        response = Response(file.compressed if compressed else file.plain, mimetype=file.type)
        response.vary.add("Accept-Encoding")
        if compressed:
            response.content_encoding = "gzip"
        if digest == files.digest:
            response.headers["Cache-Control"] = CACHE_FOREVER
        return response
