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
        """Tell whether requests can be answered, what is down if not, and what else wants a look."""
        found = probe.look()
        status = "unready" if found.down else "ok"
        return jsonify(status=status, down=found.down, warnings=found.warnings), 503 if found.down else 200

    return public
