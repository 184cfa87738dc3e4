"""Build the objects that the pages, the commands and the worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import Transport
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.core.encryption import TokenEncryption
from dashboard.core.shared_slots import PerKeyLimit, PerKeyQueue, SharedSlots
from dashboard.core.single_flight import SingleFlight
from dashboard.core.waiting_threads import WaitingThreads
from dashboard.launch.event_spool import EventSpool
from dashboard.launch.events import EventHandler
from dashboard.launch.openings import OPENING_LIMIT, OpeningService
from dashboard.monitoring.gauges import DatabaseGauges
from dashboard.monitoring.metrics import Metrics
from dashboard.monitoring.readiness import ReadinessProbe
from dashboard.people.accounts import Accounts
from dashboard.people.directory import Directory
from dashboard.people.permission_checks import PermissionChecks
from dashboard.people.settings_lease import SettingsLease
from dashboard.people.settings_writer import SettingsWriter
from dashboard.people.snapshots import Snapshots
from dashboard.portals.bindings import Bindings
from dashboard.portals.call_log import CallLog
from dashboard.portals.installations import Installations
from dashboard.portals.throttle import ProcessThrottle, Throttle
from dashboard.sync.engine import SyncEngine
from dashboard.sync.periodic_tasks import PeriodicTasks
from dashboard.sync.runs import Runs
from dashboard.team.insight_queries import settings_counts
from dashboard.team.portal_cache import PortalCache
from dashboard.team.recommendations import DifferenceCounts, difference_counts
from dashboard.team.settings_counts import SettingsCounts
from dashboard.team.statistics import TeamStats, team_stats
from dashboard.tokens.refresh import TokenRefresher
from dashboard.tokens.store import TokenStore


@dataclass(frozen=True)
class Services:
    """The services of one process; each is safe to share between threads."""

    config: Config
    now: Callable[[], datetime]
    database: Database
    encryption: TokenEncryption
    throttle: Throttle
    opening_throttle: ProcessThrottle
    waiting_threads: WaitingThreads
    rest: RestHttp
    authorization_servers: AuthorizationServers
    metrics: Metrics
    readiness: ReadinessProbe
    installations: Installations
    openings: OpeningService
    events: EventHandler
    spool: EventSpool
    snapshots: Snapshots
    settings_writer: SettingsWriter
    permissions: PermissionChecks
    team_stats: PortalCache[TeamStats]
    settings_counts: PortalCache[SettingsCounts]
    difference_counts: PortalCache[DifferenceCounts]
    runs: Runs
    sync: SyncEngine
    periodic_tasks: PeriodicTasks
    person_limit: PerKeyLimit
    portal_queue: PerKeyQueue
    download_slots: SharedSlots


def utc_now() -> datetime:
    """Return the current time; tests pass their own clock instead."""
    return datetime.now(UTC)


def no_titles(placement: str) -> Mapping[str, str]:
    """Return the titles of a placement for processes that bind none."""
    return {}


def build_services(
    config: Config,
    *,
    database: Database | None = None,
    now: Callable[[], datetime] = utc_now,
    placement_titles: Callable[[str], Mapping[str, str]] = no_titles,
) -> Services:
    """Return the services of one process. Nothing connects to the database or the network yet.

    ``placement_titles`` returns the title of a placement by Bitrix24's language codes; only a process that serves
    openings needs it.
    """
    stopping = Event()  # set by a worker that ends
    threads = max(config.web_threads, config.worker_threads)
    database = database or Database(config.database_url.get_secret_value(), connections=threads)
    encryption = TokenEncryption(config.token_keys)
    throttle = Throttle(database=database, hash_secret=config.secret_key[0], now=now)
    call_log = CallLog(database=database, throttle=throttle)
    waiting_threads = WaitingThreads(config.web_threads)
    transport = Transport(
        AddressPolicy(loopback=config.trust_loopback, private=config.allow_private_portals),
        waiting=waiting_threads,
        connections_per_host=threads,
        authorization_servers=config.bitrix24_auth_servers,
    )
    readiness = ReadinessProbe(database=database, now=now)
    metrics = Metrics(DatabaseGauges(database, readiness, now))
    rest = RestHttp(transport, metrics.count_call)
    servers = AuthorizationServers(
        rest,
        config.bitrix24_auth_servers,
        config.bitrix24_client_id,
        config.bitrix24_client_secret,
    )
    installations = Installations(database=database, encryption=encryption, rest=rest, servers=servers, now=now)
    token_store = TokenStore(database=database, encryption=encryption, now=now)
    token_refresher = TokenRefresher(
        token_store=token_store,
        installations=installations,
        servers=servers,
        throttle=throttle,
        now=now,
        stopping=stopping,
    )
    accounts = Accounts(database=database, token_store=token_store, throttle=throttle, now=now)
    runs = Runs(database=database, now=now)
    max_waiting = max(1, config.web_threads // 8)
    snapshots = Snapshots(
        database=database,
        accounts=accounts,
        token_refresher=token_refresher,
        call_log=call_log,
        throttle=throttle,
        refreshes=SingleFlight(waiting_threads.quota(max_waiting)),
        now=now,
    )
    directory = Directory(database=database, token_refresher=token_refresher, now=now)
    events = EventHandler(
        database=database,
        installations=installations,
        token_refresher=token_refresher,
        call_log=call_log,
        now=now,
    )
    return Services(
        config=config,
        now=now,
        database=database,
        encryption=encryption,
        throttle=throttle,
        opening_throttle=ProcessThrottle(OPENING_LIMIT, code="too_many_openings"),
        waiting_threads=waiting_threads,
        rest=rest,
        authorization_servers=servers,
        metrics=metrics,
        readiness=readiness,
        installations=installations,
        openings=OpeningService(
            database=database,
            runs=runs,
            installations=installations,
            accounts=accounts,
            bindings=Bindings(
                installations=installations, public_url=config.public_url, titles=placement_titles, now=now
            ),
            call_log=call_log,
            now=now,
        ),
        events=events,
        spool=EventSpool(folder=config.state_directory, encryption=encryption, handler=events, now=now),
        snapshots=snapshots,
        settings_writer=SettingsWriter(
            database=database,
            accounts=accounts,
            token_refresher=token_refresher,
            call_log=call_log,
            throttle=throttle,
            lease=SettingsLease(database=database, now=now, waiting=waiting_threads.quota(max_waiting)),
            now=now,
        ),
        permissions=PermissionChecks(
            token_refresher=token_refresher,
            accounts=accounts,
            call_log=call_log,
            throttle=throttle,
            waiting=waiting_threads.quota(max_waiting),
            now=now,
        ),
        team_stats=PortalCache(team_stats, waiting_threads.quota(max_waiting)),
        settings_counts=PortalCache(settings_counts, waiting_threads.quota(max_waiting)),
        difference_counts=PortalCache(difference_counts, waiting_threads.quota(max_waiting)),
        runs=runs,
        sync=SyncEngine(
            runs=runs,
            directory=directory,
            snapshots=snapshots,
            call_log=call_log,
            metrics=metrics,
            now=now,
            stopping=stopping,
        ),
        periodic_tasks=PeriodicTasks(
            database=database,
            runs=runs,
            token_refresher=token_refresher,
            call_log=call_log,
            now=now,
            stopping=stopping,
        ),
        # A script of one person must leave some threads to everyone else.
        person_limit=PerKeyLimit(max(2, config.web_threads * 3 // 4)),
        # Of threads that read a portal's team; such pages may take a second, those of others milliseconds.
        portal_queue=PerKeyQueue(max(2, config.web_threads // 2), max_waiting=max_waiting),
        # A quarter of the threads, and one more for another portal.
        download_slots=SharedSlots(config.web_threads // 4 + 1),
    )
