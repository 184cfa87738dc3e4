"""Ask and store what an opening does with the same libraries, and nothing else: the floor of what one costs.

It verifies, encrypts, compares and shows nothing, has no limits and survives no failure.
"""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import UTC, datetime

import requests
from flask import Flask, Response, request
from requests.adapters import HTTPAdapter
from sqlalchemy import Connection, create_engine, event, text

from bench.load import COMMANDS
from bench.portals import HOSTS
from bench.processes import SIZES

PAGE = "x" * 34_000  # characters, as many as *My settings* has
FIND_PORTAL = text("SELECT id, origin FROM portals WHERE member_id = :member")
FIND_PERSON = text("SELECT id FROM people WHERE portal_id = :portal AND user_id = :user")
STORE = (
    text(
        "INSERT INTO chains (person_id, access_token, refresh_token, expires_at, renewed_at, state, version)"
        " VALUES (:person, :access, :refresh, :now, :now, 'valid', 1) ON CONFLICT (person_id)"
        " DO UPDATE SET access_token = excluded.access_token, refresh_token = excluded.refresh_token"
    ),
    text("UPDATE snapshots SET settings = :settings, taken_at = :now WHERE person_id = :person"),
    text("UPDATE people SET opened_at = :now WHERE id = :person"),
    text(
        "INSERT INTO api_calls"
        " (portal_id, at, origin, method, status, milliseconds, sent, received, parameters, answer)"
        " VALUES (:portal, :now, '', 'batch', 200, 1, 1, 1, '{}', '{}')"
    ),
)


def create_app() -> Flask:
    """Return the application; its database is a migrated SQLite file."""
    app = Flask(__name__)
    threads = int(SIZES["WEB_THREADS"])
    engine = create_engine(os.environ["DATABASE_URL"], pool_size=threads)
    session = requests.Session()
    session.trust_env, session.verify = False, os.environ["SSL_CERT_FILE"]
    session.mount("https://", HTTPAdapter(pool_connections=HOSTS, pool_maxsize=threads))

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 10000"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @app.get("/healthz")
    def check() -> str:
        return "ok"

    @app.post("/")
    def open_app() -> Response:
        form = request.form
        with engine.begin() as connection:
            portal, origin = connection.execute(FIND_PORTAL, {"member": form["member_id"]}).one()
        content = {"halt": 0, "cmd": COMMANDS, "auth": form["AUTH_ID"]}
        result = session.post(f"{origin}/rest/batch", json=content, timeout=10).json()["result"]["result"]
        with engine.begin() as connection:
            user = {"portal": portal, "user": int(result["profile"]["ID"])}
            values = user | {
                "person": connection.scalar(FIND_PERSON, user),
                "access": form["AUTH_ID"],
                "refresh": form["REFRESH_ID"],
                "settings": json.dumps(result["settings"]),
                "now": datetime.now(UTC).isoformat(" "),
            }
            for statement in STORE:
                connection.execute(statement, values)
        return Response(PAGE)

    return app
