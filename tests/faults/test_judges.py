"""A judge that is slow, wrong, busy or silent: answers stay ungraded, none is scored 0."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from kos.errors import UserError
from kos.grading import endpoint
from kos.grading.cache import RulingCache
from kos.grading.judge import Judge
from tests.kos.grading.judges import Scripted, make_task, submit

ONE = submit(make_task(("Names a drug", 5)))
PAGE = httpx.Response(200, text="<html>the gateway is busy</html>")
MET = {"explanation": "So it is.", "criteria_met": True}


@pytest.fixture
def pauses(monkeypatch):
    """How long each pause between two tries would have been."""
    waited = []

    async def pause(seconds):
        waited.append(seconds)

    monkeypatch.setattr(endpoint.asyncio, "sleep", pause)
    return waited


def grade(transport, tmp_path, judge):
    async def work():
        async with httpx.AsyncClient(base_url="http://judge", transport=transport) as http:
            at_work = judge.at_work(http, RulingCache(tmp_path / "rulings.sqlite3"), seed=1)
            return await at_work.grade(ONE)

    (only,) = asyncio.run(work())
    return only


class Dripping(httpx.AsyncBaseTransport):
    """A server that is never silent and never ends."""

    async def handle_async_request(self, request):
        async def drip():
            while True:
                yield b" "
                await asyncio.sleep(0.001)

        return httpx.Response(200, stream=Drips(drip()))


class Drips(httpx.AsyncByteStream):
    def __init__(self, drops):
        self.drops = drops

    async def __aiter__(self):
        async for drop in self.drops:
            yield drop


def scripted(*replies):
    left = iter(replies)
    return httpx.MockTransport(Scripted(lambda question: next(left)))


def test_a_reply_that_never_ends_leaves_the_item_ungraded(tmp_path):
    found = grade(Dripping(), tmp_path, Judge(timeout_seconds=0.05, tries=1))
    assert (found.met, found.note) == (None, "no reply after 1 tries (no whole reply in 0.05 s)")


def test_a_page_of_a_gateway_is_asked_past(tmp_path, pauses):
    assert grade(scripted(PAGE, PAGE, MET), tmp_path, Judge(tries=3)).met is True


@pytest.mark.parametrize(
    "reply",
    [
        PAGE,
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json={"choices": [{"message": {"content": ["a part"]}}]}),
        httpx.Response(200, content=b"[" * 100_000),
    ],
)
def test_a_server_that_is_no_judge_stops_the_run_with_a_sentence(tmp_path, pauses, reply):
    with pytest.raises(UserError, match="answers, but not as OpenAI's do"):
        grade(scripted(reply, reply), tmp_path, Judge(tries=2))


def test_a_judge_that_counts_wrongly_is_read_all_the_same(tmp_path):
    message = {"choices": [{"message": {"content": '{"criteria_met": true}'}}], "usage": ["?"]}
    found = grade(scripted(httpx.Response(200, json=message)), tmp_path, Judge())
    assert (found.met, found.num_tokens) == (True, 0)


@pytest.mark.parametrize(("told", "waited"), [("7", 7.0), ("9999", 30.0)])
def test_a_busy_judge_is_left_alone_as_long_as_it_asks(tmp_path, pauses, told, waited):
    busy = httpx.Response(429, headers={"Retry-After": told})
    assert grade(scripted(busy, MET), tmp_path, Judge()).met is True
    assert waited in pauses


def test_a_judge_that_is_down_is_ungraded_with_what_was_wrong(tmp_path, pauses):
    def refuse(request):
        raise httpx.ConnectError("connection refused")

    found = grade(httpx.MockTransport(refuse), tmp_path, Judge(tries=3))
    assert (found.met, found.points) == (None, 5)
    assert "connection refused" in found.note
    assert len(pauses) == 2
