"""Addresses that need no session: is it alive, is it ready."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dashboard.monitoring.readiness import ReadinessProbe


def blueprint(probe: ReadinessProbe, *, fingerprint: str) -> Blueprint:
    """Return the load balancer's two questions."""
    public = Blueprint("public", __name__)

    @public.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """Tell that the process serves, which installation it is, and how many proxies stand in front.

        `doctor` asks for the last two, over the way people come.
        """
        hops = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
        proxies = sum(bool(hop.strip()) for hop in hops)
        return jsonify(status="ok", application=fingerprint, proxies=proxies)

    @public.get("/readyz")
    def readyz() -> ResponseReturnValue:
        """Tell whether requests can be answered, and what is down if not."""
        down = probe.check().down
        return jsonify(status="unready" if down else "ok", down=down), 503 if down else 200

    return public
