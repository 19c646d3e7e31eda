from __future__ import annotations

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser

from apps.accounts.models import Role
from apps.automation.sockets import NOT_ALLOWED, NOT_SIGNED_IN, TRY_AGAIN
from apps.runs import events
from apps.runs.consumers import RunConsumer
from apps.runs.hub import PAGE, Hub, hub
from apps.runs.models import Run
from tests.factories import make_run, make_user
from tests.sockets import Socket, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def quiet_hub():
    yield
    await hub.close()


@sync_to_async
def make(num_events=0):
    run = make_run(status="running", attempt=1)
    speak_now(run, num_events)
    return run


def speak_now(run, count):
    said = [events.new("note", text=f"é {n}") for n in range(count)]
    events.append(run.pk, 1, said, lease_seconds=60)


speak = sync_to_async(speak_now)


async def open_socket(run, *, after=None, user=None):
    query = "" if after is None else f"?after={after}"
    user = user or await sync_to_async(make_user)()
    return await Socket.open(
        RunConsumer.as_asgi(), f"/ws/runs/{run.pk}/{query}", user=user, pk=run.pk
    )


async def read(socket, count):
    """``count`` rows' numbers, checked to come in frames without a gap."""
    seqs = []
    while len(seqs) < count:
        frame = await socket.receive()
        seqs += [row["seq"] for row in frame["rows"]]
        assert (frame["from"], frame["to"]) == (seqs[-len(frame["rows"])], seqs[-1])
    return seqs


async def test_history_comes_first_and_then_what_happens_live():
    run = await make(3)
    socket = await open_socket(run)
    assert await read(socket, 3) == [1, 2, 3]
    await speak(run, 2)
    assert await read(socket, 2) == [4, 5]
    await socket.disconnect()


async def test_a_row_tells_its_number_kind_data_time_and_attempt():
    socket = await open_socket(await make(1))
    row = (await socket.receive())["rows"][0]
    assert row.pop("at").startswith("20")
    assert row == {"seq": 1, "kind": "note", "data": {"text": "é 0"}, "attempt": 1}
    await socket.disconnect()


async def test_a_client_that_comes_back_misses_nothing():
    run = await make(3)
    first = await open_socket(run, after=2)
    assert await read(first, 1) == [3]
    await first.disconnect()
    await speak(run, 4)
    second = await open_socket(run, after=3)
    assert await read(second, 4) == [4, 5, 6, 7]
    await second.disconnect()


async def test_a_long_history_comes_in_pages():
    run = await make(PAGE + 100)
    socket = await open_socket(run)
    assert len((await socket.receive())["rows"]) == PAGE
    assert await read(socket, 100) == list(range(PAGE + 1, PAGE + 101))
    await socket.disconnect()


async def test_two_clients_of_one_run_share_a_topic():
    run = await make(1)
    sockets = [await open_socket(run), await open_socket(run)]
    assert [await read(socket, 1) for socket in sockets] == [[1], [1]]
    assert hub.topics[run.pk].num_sockets == 2
    await speak(run, 1)
    assert [await read(socket, 1) for socket in sockets] == [[2], [2]]
    for socket in sockets:
        await socket.disconnect()
    assert hub.topics == {}


async def test_the_hub_catches_up_after_its_connection_broke(monkeypatch):
    monkeypatch.setattr("apps.runs.hub.RECONNECT_SECONDS", 0.1)
    run = await make()
    socket = await open_socket(run)
    await until(lambda: run.pk in hub.topics)
    await sync_to_async(break_other_connections)()
    await speak(run, 2)
    assert await read(socket, 2) == [1, 2]
    await speak(run, 1)
    assert await read(socket, 1) == [3]
    await socket.disconnect()


async def test_who_comes_while_the_database_goes_may_come_back(monkeypatch):
    async def gone(self, run_id):
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(Hub, "_head", gone)
    assert await (await open_socket(await make(1))).close_code() == TRY_AGAIN


def break_other_connections():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )


async def test_a_stranger_is_turned_away():
    socket = await open_socket(await make(1), user=AnonymousUser())
    assert await socket.close_code() == NOT_SIGNED_IN


async def test_who_may_not_see_the_run_is_turned_away():
    clinician = await sync_to_async(make_user)(role=Role.CLINICIAN)
    socket = await open_socket(await make(1), user=clinician)
    assert await socket.close_code() == NOT_ALLOWED


async def test_a_run_that_is_not_there_is_refused():
    socket = await open_socket(Run(pk=987654))
    assert await socket.close_code() == NOT_ALLOWED
