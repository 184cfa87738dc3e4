"""Addresses that need no session: is it alive, is it ready."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from dashboard.readiness import Probe


def blueprint(probe: Probe) -> Blueprint:
    """Return the load balancer's two questions."""
    public = Blueprint("public", __name__)

    @public.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """Tell that the process serves."""
        return jsonify(status="ok")

    @public.get("/readyz")
    def readyz() -> ResponseReturnValue:
        """Tell whether requests can be answered, and what is down if not."""
        down = probe.look().down
        return jsonify(status="unready" if down else "ok", down=down), 503 if down else 200

    return public
