"""Share a portal's leaky bucket between openings and background work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from dashboard.core.database import Database
from dashboard.portals import rate_limits
from tests import clock
from tests.emulator import Fault
from tests.world import World


def test_openings_are_counted_and_do_not_wait(each_world: World) -> None:
    with clock.frozen():
        # As if it had leaked until this very moment.
        now = each_world.now().timestamp()
        with each_world.database.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE buckets SET level = 49.5, at = {now}")
        assert each_world.open("boris").status_code == 200

    assert 49.5 <= each_world.one("SELECT level FROM buckets") <= 50.5


def test_simultaneous_background_work_leaves_the_reserve(each_world: World) -> None:
    portal_id = each_world.known().id
    now = each_world.now().timestamp() + 60
    url = each_world.config.database_url.get_secret_value()
    processes = [Database(url) for _ in range(4)]

    def take(number: int) -> int:
        with processes[number % 4].write_session() as session:
            return rate_limits.take_for_tasks(session, portal_id, now=now, costs=[1, 1])

    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(take, range(40)))

    for database in processes:
        database.engine.dispose()
    assert taken == 35


def test_a_task_of_two_requests_needs_room_for_two(world: World) -> None:
    portal_id, now = world.known().id, world.now().timestamp() + 60
    with world.database.write_session() as session:
        rate_limits.record(session, portal_id, at=now, requests=34)

        assert rate_limits.take_for_tasks(session, portal_id, now=now, costs=[2, 1]) == 0
        assert rate_limits.take_for_tasks(session, portal_id, now=now, costs=[1]) == 1


def test_a_refusal_by_the_portal_halves_the_rate(world: World) -> None:
    world.bitrix24.faults.add(Fault("error:QUERY_LIMIT_EXCEEDED:503", "portal", method="batch"))

    answer = world.open("boris")

    assert answer.status_code == 503
    (bucket,) = world.rows("SELECT level, rate FROM buckets")
    assert bucket == {"level": 50.0, "rate": 1.0}


def test_the_rate_recovers_within_a_minute(world: World) -> None:
    portal_id, now = world.known().id, world.now().timestamp() + 60
    with world.database.write_session() as session:
        rate_limits.record(session, portal_id, at=now, requests=1, refused=True)

        assert rate_limits.find(session, portal_id, now=now).at(now + 61).rate == 2.0


def test_requests_to_the_authorization_server_are_not_counted(world: World) -> None:
    with clock.frozen():  # nothing drains
        world.open("boris")
        before = world.one("SELECT level FROM buckets")
        world.portal().expire("boris")
        headers = world.session("boris")
        world.portal().expire("boris")

        assert world.browser.post("/me/refresh", headers=headers).status_code == 200

    # The opening for the session, the refused call and the repeated one; the token refresh went elsewhere.
    assert world.one("SELECT level FROM buckets") - before == 3
