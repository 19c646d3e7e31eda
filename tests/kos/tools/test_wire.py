"""Requests: how often, how long, and what is said when they fail."""

from __future__ import annotations

import asyncio
import logging
import pickle

import httpx
import pytest

from kos.tools.net.bodies import Caps
from kos.tools.net.breaker import Breakers
from kos.tools.net.failures import RefusedError, UnavailableError
from kos.tools.net.flight import Flights
from kos.tools.net.limits import Buckets, Rate, per_minute
from kos.tools.net.redaction import redact, redact_headers
from kos.tools.net.wire import Request
from tests.kos.tools.web import Clock, Stream, Web, payload, wire_to

URL = "https://api.example.org/search"
OK = httpx.Response(200, json={"hits": []})
BUSY = httpx.Response(429, json={"error": "slow down"}, headers={"retry-after": "3"})


async def test_a_busy_source_is_asked_again_when_it_says():
    web, clock = Web([BUSY, OK]), Clock()
    assert (await wire_to(web, clock).send(Request(URL))).json() == {"hits": []}
    assert clock.slept == [3.0]


async def test_it_is_never_waited_for_more_than_ten_seconds():
    slow = httpx.Response(503, headers={"retry-after": "3600"})
    clock = Clock()
    await wire_to(Web([slow, OK]), clock).send(Request(URL))
    assert clock.slept == [10.0]


async def test_a_date_to_come_back_at_is_understood_and_one_in_the_past_is_now():
    past = httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    far = httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"})
    clock = Clock()
    await wire_to(Web([past, far, OK]), clock).send(Request(URL))
    assert clock.slept == [0.5, 10.0]


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_two_more_tries_are_made_with_a_growing_pause(status):
    web, clock = Web([httpx.Response(status)] * 3), Clock()
    with pytest.raises(UnavailableError, match=f"HTTP {status}") as caught:
        await wire_to(web, clock).send(Request(URL))
    assert caught.value.is_failure
    assert (len(web.asked), clock.slept) == (3, [0.5, 1.0])


@pytest.mark.parametrize("error", [httpx.ConnectTimeout("slow"), httpx.ReadTimeout("slow")])
async def test_time_outs_are_tried_again(error):
    web = Web([error, OK])
    assert (await wire_to(web).send(Request(URL))).status == 200


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
async def test_nothing_else_is_tried_again(status):
    web = Web([httpx.Response(status), OK])
    with pytest.raises((RefusedError, UnavailableError)):
        await wire_to(web).send(Request(URL))
    assert len(web.asked) == 1


async def test_a_pause_longer_than_the_time_left_is_not_begun():
    web, clock = Web([BUSY, OK]), Clock()
    wire = wire_to(web, clock)
    with wire.deadline(2.0), pytest.raises(UnavailableError, match="429, slow down"):
        await wire.send(Request(URL))
    assert clock.slept == []


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_key_is_not_the_sources_failure(status):
    with pytest.raises(UnavailableError) as caught:
        await wire_to(Web([httpx.Response(status)])).send(Request(URL))
    assert not caught.value.is_failure


async def test_a_status_that_the_caller_reads_is_no_error():
    web = Web([httpx.Response(404, json={"error": {"code": "NOT_FOUND"}})])
    assert (await wire_to(web).send(Request(URL, accepts=(404,)))).status == 404


async def test_a_refusal_in_plain_text_is_passed_on():
    answer = payload("ctgov_400.txt", 400, **{"content-type": "text/plain"})
    with pytest.raises(RefusedError, match='400, Invalid value "RECRUITIN"'):
        await wire_to(Web([answer])).send(Request(URL))


async def test_an_answer_that_drips_is_cut_off():
    class Drip(Stream):
        async def __aiter__(self):
            while True:
                yield b"."
                await asyncio.sleep(0.01)

    web = Web(lambda request: httpx.Response(200, stream=Drip([])))
    with pytest.raises(UnavailableError, match="no answer in time"):
        await wire_to(web).send(Request(URL, caps=Caps(seconds=0.05)))


async def test_no_cookie_is_kept_and_no_proxy_asked(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    web = Web([httpx.Response(200, headers={"set-cookie": "id=1"}), OK])
    wire = wire_to(web)
    await wire.send(Request(URL))
    await wire.send(Request(URL))
    assert "cookie" not in web.asked[1].headers
    assert web.asked[1].headers["user-agent"].startswith("Kos/")


async def test_a_key_is_in_no_message_no_cause_and_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpx")
    secret = "s3cr3t-key-77"
    web = Web([httpx.Response(200), httpx.ConnectError(f"no route, api_key={secret}")])
    request = Request(URL, params={"api_key": secret}, secrets=(secret,))
    wire = wire_to(web)
    await wire.send(request)
    with pytest.raises(UnavailableError) as caught:
        await wire.send(request)
    told = [str(caught.value), repr(caught.value.__cause__), repr(request), caplog.text]
    assert secret not in "".join(told)
    assert "api_key=[key]" in caplog.text
    assert caught.value.__suppress_context__


def test_what_looks_like_a_key_is_hidden():
    assert redact("https://x/?api_key=abc&q=gout") == "https://x/?api_key=[key]&q=gout"
    assert redact("Authorization: Bearer abcdefghijk") == "Authorization: Bearer [key]"
    assert redact("the key 12345678", ["12345678"]) == "the key [key]"
    assert redact_headers({"X-Api-Key": "1", "Accept": "*/*"}) == {
        "X-Api-Key": "[key]",
        "Accept": "*/*",
    }


def test_failures_cross_processes():
    found = pickle.loads(pickle.dumps(UnavailableError("busy", is_failure=False)))
    assert (str(found), found.is_failure) == ("busy", False)


def test_a_bucket_lets_a_burst_through_and_then_its_rate():
    clock = Clock()
    buckets = Buckets(clock)
    waits = [buckets.reserve("host", Rate(2, 3)) for _ in range(5)]
    assert waits == [0, 0, 0, 0.5, 1.0]
    clock.now += 10
    assert buckets.reserve("host", Rate(2, 3)) == 0


def test_a_bucket_gives_no_token_that_comes_too_late():
    buckets = Buckets(Clock())
    rate = per_minute(60)
    assert buckets.reserve("host", rate) == 0
    assert buckets.reserve("host", rate, within=0.5) is None
    assert buckets.reserve("host", rate) == 1.0
    assert buckets.reserve("other", rate) == 0


async def test_hosts_are_asked_at_their_own_pace():
    clock = Clock()
    wire = wire_to(Web(lambda request: httpx.Response(200)), clock)
    for _ in range(4):
        await wire.send(Request("https://eutils.ncbi.nlm.nih.gov/entrez"))
    assert clock.slept == [pytest.approx(1 / 3)]


def fail(breakers: Breakers, *, times: int = 1, is_failure: bool = True) -> None:
    for _ in range(times):
        with pytest.raises(UnavailableError), breakers.watch("who"):
            raise UnavailableError("HTTP 503", is_failure=is_failure)


def test_five_failures_in_a_minute_pause_a_source_for_a_minute():
    clock = Clock()
    breakers = Breakers(clock)
    fail(breakers, times=4)
    assert not breakers.is_open("who")
    fail(breakers)
    with pytest.raises(UnavailableError, match="paused for 60 s"), breakers.watch("who"):
        raise AssertionError("it was asked")
    clock.now += 61
    with breakers.watch("who"):
        pass
    fail(breakers, times=4)
    assert not breakers.is_open("who")


def test_after_the_pause_one_failure_is_enough():
    clock = Clock()
    breakers = Breakers(clock)
    fail(breakers, times=5)
    clock.now += 61
    fail(breakers)
    assert breakers.is_open("who")


def test_old_failures_and_refused_keys_do_not_count():
    clock = Clock()
    breakers = Breakers(clock)
    for _ in range(9):
        fail(breakers)
        clock.now += 20
    fail(breakers, times=9, is_failure=False)
    assert not breakers.is_open("who")


async def test_the_same_question_at_once_is_asked_once():
    flights, num_asked = Flights(), []

    async def work() -> int:
        num_asked.append(1)
        await asyncio.sleep(0)
        return 7

    assert await asyncio.gather(*(flights.join("key", work) for _ in range(5))) == [7] * 5
    assert len(num_asked) == 1
    assert await flights.join("key", work) == 7
    assert len(num_asked) == 2


async def test_who_gives_up_does_not_take_the_answer_from_the_others():
    flights, gate = Flights(), asyncio.Event()

    async def work() -> int:
        await gate.wait()
        return 7

    first, second = (asyncio.create_task(flights.join("key", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await second == 7
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_work_that_nobody_waits_for_stops():
    flights, stopped = Flights(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    waiting = asyncio.create_task(flights.join("key", work))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait_for(stopped.wait(), 30)


async def test_a_failure_is_shared_and_then_forgotten():
    flights = Flights()

    async def work() -> None:
        await asyncio.sleep(0)
        raise UnavailableError("busy")

    told = await asyncio.gather(
        *(flights.join("k", work) for _ in range(2)), return_exceptions=True
    )
    assert [str(error) for error in told] == ["busy", "busy"]
    assert not flights._flights
