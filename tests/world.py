"""Run the application in front of the emulator, for tests."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cache, cached_property
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from cryptography.fernet import Fernet
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.routing import Rule
from werkzeug.serving import make_server
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from app import create_app
from dashboard import models
from dashboard.core import config, migrations
from dashboard.core.database import Database
from dashboard.services import Services, build_services
from dashboard.web.http import static_files
from tests import clicks, compiled_templates
from tests.emulator import Emulator, Portal
from tests.emulator.opening import Opening
from tests.waiting import HANG_SECONDS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FERNET_KEY = Fernet.generate_key().decode()
SECRET_KEY = "a signing key for tests alone"


compiled_templates.install()
STATIC_FILES = static_files.StaticFiles()
BUILDERS: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}
compile_builder = Rule._compile_builder


def _compile_builder_once(self: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    """Return what builds a rule's URLs; compiling it for every application is half of what making one costs."""
    key = (*self._trace, repr(self.defaults), append_unknown)
    if key not in BUILDERS:
        BUILDERS[key] = compile_builder(self, append_unknown)
    return BUILDERS[key]


# Databases that no test uses at the moment, by address. The next test finds its database empty, and reuses the
# statements compiled for it, which would take a fifth of its time.
REUSABLE_DATABASES: dict[str, Database] = {}


class World:
    """One application process in the test's own; what it asks of Bitrix24 goes over real HTTP."""

    def __init__(self, bitrix24: Emulator, database_url: str, **environment: str) -> None:
        self.bitrix24 = bitrix24
        # Events come over a socket of ours; the port is known before the application is made.
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._changed = threading.Condition()
        self._under_way, self._closed = 0, False
        bitrix24.app_url = f"http://127.0.0.1:{self._server.port}"
        self.environment = environment_for(bitrix24, database_url) | environment
        self.config = config.load(self.environment)
        self._address = self.config.database_url.get_secret_value()
        self.database = _database_at(self._address)
        self.is_database_dirty = False  # the database must not be reused
        migrate(self.database)
        with (
            patch.object(static_files, "StaticFiles", lambda **_: STATIC_FILES),
            patch.object(Rule, "_compile_builder", _compile_builder_once),
        ):
            self.app = create_app(self.config, database=self.database, now=self.now)
        clicks.watch(self.app, bitrix24)
        self.browser: FlaskClient = self.app.test_client()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._end_requests()
        self.database.engine.dispose()
        if not self.is_database_dirty:
            REUSABLE_DATABASES[self._address] = self.database

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._changed:
            if self._closed:
                return Response(status=503)(environ, start_response)
            self._under_way += 1
        try:
            return self.app(environ, start_response)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _end_requests(self) -> None:
        """Wait for the requests under way: the next test's database has this one's address."""
        with self._changed:
            self._closed = True
            assert self._changed.wait_for(lambda: not self._under_way, timeout=HANG_SECONDS), "a request does not end"

    @cached_property
    def services(self) -> Services:
        """Return services of another process, such as a worker; they share only the database."""
        return build_services(self.config, database=self.database, now=self.now)

    def now(self) -> datetime:
        """Return the emulator's time: tests move both at once."""
        return datetime.fromtimestamp(self.bitrix24.clock.now(), UTC)

    def sync(self, portal: str = "alpha", *, limit: int = 400) -> dict[str, Any]:
        """Ask for a run and work on it to its end, as a worker that need not wait; return its row."""
        stored_portal = self.known(portal)
        self.services.runs.request(stored_portal, by=None)
        for _ in range(limit):
            self.run_slice(portal)
            (run,) = self.rows(f"SELECT * FROM runs WHERE portal_id = {stored_portal.id} ORDER BY id DESC LIMIT 1")
            if run["finished_at"] is not None or run["state"] == "postponed":
                return run
            self.bitrix24.clock.advance(self.services.runs.seconds_to_next(at_most=60) + 0.001)
        raise TimeoutError("the run does not end")

    def run_slice(self, portal: str = "alpha") -> None:
        """Work on the portal's run for a slice, if it is due."""
        for lease in self.services.runs.acquire(portal_id=self.known(portal).id):
            self.services.sync.run_slice(lease)

    def before_next_write(self, action: Callable[[], object], *, after: int = 0) -> None:
        """Play a race: do something after a request was let in and before it writes.

        ``after`` lets so many transactions pass first.
        """
        database, writing = self.database, self.database.write_session
        passed = count()

        def overtaken(*, durable: bool = True) -> AbstractContextManager[Session]:
            if next(passed) == after:
                del database.write_session
                action()
            return writing(durable=durable)

        database.write_session = overtaken  # type: ignore[assignment,method-assign]

    def writes_of(self, request: Callable[[], object]) -> int:
        """Return how many transactions a request opens to write."""
        database, writing = self.database, self.database.write_session
        opened: list[bool] = []

        def counted(*, durable: bool = True) -> AbstractContextManager[Session]:
            opened.append(durable)
            return writing(durable=durable)

        database.write_session = counted  # type: ignore[assignment,method-assign]
        request()
        del database.write_session
        return len(opened)

    def known(self, portal: str = "alpha") -> models.Portal:
        """Return what the application stored of a portal."""
        result = self.services.installations.find(self.portal(portal).member_id)
        assert result is not None
        return result

    def portal(self, name: str = "alpha") -> Portal:
        return self.bitrix24.portal(name)

    def post(self, path: str, opening: Opening, **form: str) -> TestResponse:
        """Post an opening as a browser would; `form` changes fields of it."""
        return self.browser.post(path, query_string=opening.query, data={**opening.form, **form})

    def install(self, portal: str = "alpha", *, person: str | None = None) -> TestResponse:
        """Install the application in a portal as its administrator, to the end."""
        bitrix24_portal = self.portal(portal)
        opening = bitrix24_portal.open_installer_as(person or administrator_of(bitrix24_portal))
        response = self.post("/install", opening)
        bitrix24_portal.finish_install()
        return response

    def open(self, person: str, portal: str = "alpha", **form: str) -> TestResponse:
        """Open the application as a person."""
        return self.post("/", self.portal(portal).open_as(person), **form)

    def session(self, person: str, portal: str = "alpha") -> dict[str, str]:
        """Open the application as a person and return the header their page would send."""
        return {"Authorization": f"Bearer {session_token(self.open(person, portal))}"}

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Return what the database says."""
        with self.database.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    def one(self, statement: str) -> Any:
        """Return the only value of the only row."""
        (row,) = self.rows(statement)
        (value,) = row.values()
        return value


def _database_at(address: str) -> Database:
    return REUSABLE_DATABASES.pop(address, None) or Database(address)


def migrate(database: Database) -> None:
    """Bring a database to the newest schema; a new SQLite file is a copy of one that went all the way."""
    path = database.engine.url.database
    if database.engine.dialect.name == "sqlite" and path and not Path(path).exists():
        shutil.copyfile(_migrated(), path)
    else:
        migrations.upgrade(database)


@cache
def _migrated() -> Path:
    folder = tempfile.mkdtemp(prefix="migrated-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder}/dashboard.db")
    migrations.upgrade(database)
    # The last connection takes the write-ahead log into the file.
    database.engine.dispose()
    return Path(folder) / "dashboard.db"


def environment_for(bitrix24: Emulator, database_url: str) -> dict[str, str]:
    """Return the configuration of an application in front of the emulator."""
    return {
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "TOKEN_KEYS": FERNET_KEY,
        "BITRIX24_CLIENT_ID": bitrix24.client_id,
        "BITRIX24_CLIENT_SECRET": bitrix24.client_secret,
        "BITRIX24_AUTH_SERVERS": bitrix24.authorization_server,
        "BX24_JS_URL": bitrix24.bx24_js_url,
        "PUBLIC_URL": bitrix24.app_url,
        "TRUST_LOOPBACK": "1",
        "LOG_LEVEL": "warning",
    }


def administrator_of(portal: Portal) -> str:
    return next(key for key, person in portal.people.items() if person.admin)


def session_token(response: TestResponse) -> str:
    result = re.search(r'<meta name="session-token" content="([^"]+)"', response.text)
    assert result, response.text[:500]
    return result[1]


class _Settings(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Any]] = []
        self.errors: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "data-setting" in given:
            self.found.append((given["data-setting"] or "", json.loads(given["data-value"] or "")))
        if given.get("data-error") is not None:
            self.errors.append(given["data-error"] or "")


def settings_on(page: str) -> dict[str, Any]:
    """Return the settings a page shows, as machines read them; each stands there once."""
    parser = _Settings()
    parser.feed(page)
    output = dict(parser.found)
    assert len(output) == len(parser.found), "a setting is shown twice"
    return output


def errors_on(page: str) -> list[str]:
    """Return the codes of the errors a page tells of, outside templates for later."""
    parser = _Settings()
    parser.feed(re.sub(r"<template.*?</template>", "", page, flags=re.DOTALL))
    return parser.errors
