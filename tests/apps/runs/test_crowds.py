"""Past the limits of those who watch: a sentence, a way back, and no memory for the slow."""

from __future__ import annotations

import asyncio
import json

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from apps.accounts import services as accounts
from apps.automation.seats import WATCHERS
from apps.automation.sockets import TOO_MANY, TRY_AGAIN
from apps.runs import events
from apps.runs import hub as hubs
from apps.runs.consumers import RunConsumer
from apps.runs.hub import Topic, hub
from tests.factories import make_run, make_user
from tests.sockets import Socket, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def quiet_hub():
    yield
    await hub.close()
    assert WATCHERS.num_taken == 0


@sync_to_async
def make(**fields):
    return make_run(status="running", attempt=1, **fields), make_user("ada", role="engineer")


@sync_to_async
def speak(run, count, text=""):
    said = [events.new("note", text=f"{text}{n}") for n in range(count)]
    events.append(run.pk, 1, said, lease_seconds=60)


async def join(run, user) -> Socket:
    path = f"/ws/runs/{run.pk}/?after=0"
    return await Socket.open(RunConsumer.as_asgi(), path, user=user, pk=run.pk)


async def refusal(socket) -> tuple[int, str]:
    message = await socket.receive_output(5)
    await socket.disconnect()
    return message["code"], message["reason"]


async def test_a_person_with_too_many_pages_is_told_and_may_come_back(settings):
    settings.MOST_WATCHERS_OWN = 1
    run, user = await make()
    first = await join(run, user)
    code, reason = await refusal(await join(run, user))
    assert (code, "Close some pages" in reason) == (TOO_MANY, True)
    await first.disconnect()
    again = await join(run, user)
    await speak(run, 1)
    assert (await again.receive())["to"] == 1
    await again.disconnect()


async def test_past_the_limit_of_all_a_socket_is_to_try_again(settings):
    settings.MOST_WATCHERS = 1
    run, user = await make()
    first = await join(run, await sync_to_async(make_user)())
    assert (await refusal(await join(run, user)))[0] == TRY_AGAIN
    assert WATCHERS.num_taken == 1
    await first.disconnect()


async def test_a_socket_that_breaks_off_leaves_nothing_behind(monkeypatch):
    async def broken(self, text_data=None, bytes_data=None):
        raise ZeroDivisionError

    monkeypatch.setattr(RunConsumer, "receive", broken)
    socket = await join(*await make())
    await socket.send("anything")
    with pytest.raises(ZeroDivisionError):
        await socket.wait(60)
    assert (hub.topics, WATCHERS.num_taken) == ({}, 0)


@pytest.mark.parametrize(
    ("setting", "status"), [("MOST_WATCHERS_OWN", 429), ("MOST_WATCHERS", 503)]
)
async def test_a_stream_past_the_limit_is_refused_with_a_time_to_come_back(
    settings, setting, status
):
    run, user = await make()
    token = (await sync_to_async(accounts.create_token)(user, "test")).text
    setattr(settings, setting, 1)
    with WATCHERS.taken(user.pk):
        path = f"/api/runs/{run.pk}/stream"
        reply = await AsyncClient().get(path, headers={"Authorization": f"Bearer {token}"})
    assert (reply.status_code, reply["Retry-After"]) == (status, "15")
    assert reply["Content-Type"] == "application/problem+json"


async def test_a_stream_holds_its_seat_until_it_is_left():
    run, user = await make()
    await speak(run, 1)
    token = (await sync_to_async(accounts.create_token)(user, "test")).text
    path = f"/api/runs/{run.pk}/stream"
    reply = await AsyncClient().get(path, headers={"Authorization": f"Bearer {token}"})
    frames = aiter(reply)
    await anext(frames)
    assert WATCHERS.num_taken == 1
    await frames.aclose()
    assert (WATCHERS.num_taken, hub.topics) == (0, {})


# --- The slow ---------------------------------------------------------------------------------
async def test_one_that_reads_nothing_holds_up_nobody_and_catches_up(monkeypatch):
    monkeypatch.setattr(hubs, "FRAME_BYTES", 2_000)
    monkeypatch.setattr(hubs, "RING", 50)
    run, user = await make()
    slow = Slow(await join(run, user))
    for _ in range(4):
        await speak(run, 100, "said ")
    async with asyncio.timeout(60):
        while hub.topics[run.pk].head < 400:
            await asyncio.sleep(0.02)
    assert len(hub.topics[run.pk].ring) == 50
    frames = await slow.read(400)
    assert [seq for frame in frames for seq in frame] == [*range(1, 401)]
    await slow.socket.disconnect()


class Slow:
    """A browser whose next frame is only sent when it has read the one before."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    async def read(self, count: int) -> list[list[int]]:
        frames: list[list[int]] = []
        while sum(map(len, frames)) < count:
            message = await self.socket.receive_output(5)
            assert len(message["text"]) < 2_200, "a frame is bounded"
            frames.append([row["seq"] for row in json.loads(message["text"])["rows"]])
        return frames


def test_a_ring_forgets_its_oldest_rows_and_knows_it():
    topic = Topic(1, 0)
    topic.push(["x" * 10] * 6_000)
    assert (len(topic.ring), topic.size_bytes, topic.head) == (5_000, 50_000, 6_000)
    assert not topic.holds(999)
    assert topic.holds(1_000)


def test_all_rings_together_stay_below_their_limit(monkeypatch):
    monkeypatch.setattr(hubs, "RINGS_BYTES", 5_000)
    monkeypatch.setattr(hubs, "FRAME_BYTES", 500)
    small, large = Topic(1, 0), Topic(2, 0)
    monkeypatch.setattr(hub, "topics", {1: small, 2: large})
    small.push(["x" * 100] * 10)
    large.push(["x" * 100] * 90)
    hub._trim()
    assert small.size_bytes + large.size_bytes <= 5_000
    assert (len(small.ring), large.head) == (10, 90)


def test_frames_of_many_slow_sockets_are_not_kept(monkeypatch):
    topic = Topic(1, 0)
    topic.push([f'{{"seq":{n}}}' for n in range(1, 1_001)])
    for after in range(900):
        assert topic.page(after).last == 1_000
    assert len(topic._pages) == hubs.MOST_FRAMES
    assert topic.page(0) is topic.page(0)


async def test_a_page_of_the_database_is_as_long_as_a_frame(monkeypatch):
    monkeypatch.setattr(hubs, "FRAME_BYTES", 3_000)
    run, _ = await make()
    await speak(run, 4, "x" * 1_200)
    assert len((await hub.read(run.pk, 0)).rows) == 2
    monkeypatch.setattr(hubs, "FRAME_BYTES", 10)
    assert len((await hub.read(run.pk, 2)).rows) == 1
    await hub.close()


async def test_a_page_says_whether_rows_were_left_out(monkeypatch):
    run, _ = await make()
    await speak(run, 4)
    assert [(await hub.read(run.pk, 0, limit=most)).has_more for most in (2, 4, 5)] == [1, 1, 0]
    monkeypatch.setattr(hubs, "FRAME_BYTES", 10)
    assert [(await hub.read(run.pk, after)).has_more for after in (0, 2, 3, 4)] == [1, 1, 0, 0]
    await hub.close()


async def test_whoever_comes_next_is_served_from_the_ring_of_the_first(monkeypatch):
    run, user = await make()
    await speak(run, 30)
    first = await join(run, user)
    assert (await first.receive())["to"] == 30
    await until(lambda: hub.topics[run.pk].head == 30)
    monkeypatch.setattr(hub, "read", None)  # nothing asks the database
    second = await join(run, user)
    frame = await second.receive()
    assert (frame["from"], frame["to"]) == (1, 30)
    monkeypatch.undo()
    await first.disconnect()
    await second.disconnect()


async def test_the_ring_of_a_run_that_is_far_ahead_begins_near_its_end(monkeypatch):
    monkeypatch.setattr(hubs, "PAGE", 5)
    run, _ = await make()
    await speak(run, 20)
    topic = await hub.join(run.pk, 0)
    await until(lambda: topic.head == 20)
    assert [topic.holds(after) for after in (14, 15)] == [False, True]
    await hub.leave(topic)
