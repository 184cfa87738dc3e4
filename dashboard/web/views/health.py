"""Serve the health checks: `/healthz` (alive) and `/readyz` (ready)."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dashboard.web.http.context import services

MAX_COUNTED_PROXIES = 100

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer while the process serves, with the installation's fingerprint and the number of proxies in front.

    `doctor` requests it through PUBLIC_URL, to find out whether that leads here and how TRUSTED_PROXIES must be set.
    """
    hops = request.headers.get("X-Forwarded-For", "").rsplit(",", MAX_COUNTED_PROXIES)
    proxies = sum(bool(hop.strip()) for hop in hops)
    return jsonify(status="ok", application=services().config.fingerprint, proxies=proxies)


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 if requests can be answered, else 503 and what is down."""
    down = services().readiness.check().down
    return jsonify(status="unready" if down else "ok", down=down), 503 if down else 200
