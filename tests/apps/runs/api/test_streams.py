"""The stream of a run and of all runs: complete, in order, taken up again, for those who may."""

from __future__ import annotations

import asyncio
import json

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from apps.accounts import services as accounts
from apps.runs import events, services
from apps.runs.api import streams
from apps.runs.hub import hub
from apps.runs.models import Run, Status
from tests.factories import make_run, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def quiet_hub():
    yield
    await hub.close()


def make_now(num_events: int = 0, **fields) -> Run:
    run = make_run(status="running", attempt=1, **fields)
    speak_now(run, num_events)
    return run


def speak_now(run: Run, count: int) -> None:
    said = [events.new("note", text=f"é {n}") for n in range(count)]
    events.append(run.pk, 1, said, lease_seconds=60)


make, speak = sync_to_async(make_now), sync_to_async(speak_now)
finish = sync_to_async(lambda run: services.finish(run.pk, 1, Status.DONE))


def parsed(frame: bytes) -> dict[str, str]:
    lines = frame.decode().strip().splitlines()
    return dict(line.split(": ", 1) for line in lines)


async def read(frames, count: int) -> list[dict[str, str]]:
    """``count`` events; comments and the wait for a reconnect are passed over."""
    found = []
    async with asyncio.timeout(60):
        while len(found) < count:
            frame = parsed(await anext(frames))
            if "event" in frame:
                found.append(frame)
    return found


async def test_all_that_was_said_and_is_said_comes_in_order_and_then_the_end():
    run = await make(3)
    frames = streams.follow(hub, run.pk, 0)
    before = await read(frames, 3)
    await speak(run, 2)
    await finish(run)
    after = await read(frames, 4)
    assert [one["id"] for one in before + after] == ["1", "2", "3", "4", "5", "6", "6"]
    assert [one["event"] for one in after] == ["note", "note", "status", "end"]
    assert json.loads(before[0]["data"])["data"]["text"] == "é 0"
    assert [frame async for frame in frames] == []


async def test_a_stream_is_taken_up_where_it_broke():
    run = await make(5)
    assert [one["id"] for one in await read(streams.follow(hub, run.pk, 3), 2)] == ["4", "5"]


async def test_the_line_is_kept_open_while_nothing_happens():
    run = await make(0)
    frames = streams.follow(hub, run.pk, 0, heartbeat=0.05)
    assert [await anext(frames) for _ in range(2)] == [streams.RETRY, streams.HEARTBEAT]
    await frames.aclose()
    assert hub.topics == {}


async def ask(path: str, user, **headers: str):
    token = (await sync_to_async(accounts.create_token)(user, "t")).text
    return await AsyncClient().get(path, headers={"Authorization": f"Bearer {token}", **headers})


async def test_over_http_an_ended_run_is_told_from_the_last_event_on():
    run = await make(3)
    await finish(run)
    user = await sync_to_async(make_user)()
    reply = await ask(f"/api/runs/{run.pk}/stream", user, **{"Last-Event-ID": "2"})
    assert reply["Content-Type"] == "text/event-stream"
    told = b"".join([chunk async for chunk in reply.streaming_content]).decode()
    assert told.count("id: ") == 3
    assert told.rstrip().endswith("data: {}")


@pytest.mark.parametrize(("role", "status"), [("clinician", 403), (None, 401)])
async def test_a_stream_is_for_those_who_may_see_the_run(role, status):
    run = await make(1)
    if role is None:
        reply = await AsyncClient().get(f"/api/runs/{run.pk}/stream")
    else:
        user = await sync_to_async(make_user)(role=role)
        reply = await ask(f"/api/runs/{run.pk}/stream", user)
    assert (reply.status_code, reply["Content-Type"]) == (status, "application/problem+json")


async def test_a_run_that_is_not_there_is_a_404_and_a_wrong_place_a_422():
    user = await sync_to_async(make_user)()
    assert (await ask("/api/runs/999999/stream", user)).status_code == 404
    run = await make(1)
    assert (await ask(f"/api/runs/{run.pk}/stream?after=-1", user)).status_code == 422


async def test_changes_of_my_runs_come_as_they_happen_and_those_of_others_do_not():
    mine, other = await make(0), await make(0)
    frames = streams.follow_changes(hub, mine.owner_id, None, every=0.05)
    # It says where it begins: who loses the line before the first change misses none.
    assert await anext(frames) == f"id: {await hub.newest()}\n".encode() + streams.RETRY
    await finish(other)
    await finish(mine)
    [told] = await read(frames, 1)
    data = json.loads(told["data"])
    assert (data["run"], data["status"], told["event"]) == (mine.pk, "done", "status")
    await frames.aclose()


async def test_changes_that_were_missed_are_told_later():
    run = await make(0)
    last = await hub.newest()
    await finish(run)
    frames = streams.follow_changes(hub, None, last, every=0.05)
    [told] = await read(frames, 1)
    assert json.loads(told["data"])["run"] == run.pk
    await frames.aclose()
