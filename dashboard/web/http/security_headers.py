"""Set the security headers of every response."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, g


def install(app: Flask, *, script_url: str, https: bool) -> None:
    """Set the headers on every response, errors and static files included.

    Only the portal in ``g.frame_origin`` may frame the page; nobody may if it is not set.
    """
    script = urlsplit(script_url)
    script_origin = f"{script.scheme}://{script.netloc}"
    images = "https:" if https else "https: http://localhost:*"

    @app.after_request
    def set_security_headers(response: Response) -> Response:
        ancestors = g.get("frame_origin") or "'none'"
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self' {script_origin}; style-src 'self'; "
            f"img-src 'self' data: {images}; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {ancestors}"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        if https:
            # Without includeSubDomains: the other hosts of this domain are not ours.
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        # Browsers may only cache files whose URL contains their hash; pages hold personal data.
        if not response.cache_control.immutable:
            response.headers["Cache-Control"] = "no-store"
        return response
