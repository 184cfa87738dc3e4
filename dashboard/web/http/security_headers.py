"""What every answer says to the browser about itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, g


def install(app: Flask, *, script_url: str, https: bool) -> None:
    """Set the headers on every answer, errors and the files of the pages included.

    A page may be framed by the portal in ``g.frame_origin`` alone, and by nobody where none was set.
    """
    script = urlsplit(script_url)
    script_origin = f"{script.scheme}://{script.netloc}"

    @app.after_request
    def secure(response: Response) -> Response:
        ancestors = g.get("frame_origin") or "'none'"
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self' {script_origin}; style-src 'self'; "
            "img-src 'self' data: https:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {ancestors}"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        if https:
            # For this host alone: what else stands under its domain is not ours to decide.
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        # Only a file whose address names its content may be kept; everything else is somebody's own.
        if not response.cache_control.immutable:
            response.headers["Cache-Control"] = "no-store"
        return response
