"""Answer the load balancer: is the process alive, is it ready."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dashboard.web.http.context import services

blueprint = Blueprint("public", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Say that the process serves, which installation it is, and how many proxies stand in front.

    `doctor` asks for the last two, over the way people come.
    """
    hops = ",".join(request.headers.getlist("X-Forwarded-For")).split(",")
    proxies = sum(bool(hop.strip()) for hop in hops)
    return jsonify(status="ok", application=services().config.fingerprint, proxies=proxies)


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Say whether requests can be answered, and what is down if not."""
    down = services().readiness.check().down
    return jsonify(status="unready" if down else "ok", down=down), 503 if down else 200
