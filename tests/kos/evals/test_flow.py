from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from kos.evals.flow import in_flight


async def numbers(count: int, taken: list[int] | None = None) -> AsyncIterator[int]:
    for number in range(count):
        if taken is not None:
            taken.append(number)
        yield number


async def test_every_item_gives_one_result():
    async def double(number):
        await asyncio.sleep(0.001 * (number % 3))
        return 2 * number

    found = [one async for one in in_flight(numbers(50), double, 7)]
    assert sorted(found) == [2 * n for n in range(50)]


async def test_so_many_are_in_the_making_and_no_more():
    now, most = 0, 0

    async def work(number):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1

    assert len([one async for one in in_flight(numbers(40), work, 5)]) == 40
    assert most == 5


async def test_the_source_is_not_drained_ahead_of_the_work():
    taken: list[int] = []
    gate = asyncio.Event()

    async def work(number):
        await gate.wait()

    stream = in_flight(numbers(100, taken), work, 4)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.02)
    assert len(taken) <= 5
    gate.set()
    await first
    await stream.aclose()


async def test_results_do_not_wait_for_a_slow_source():
    async def slow():
        yield 1
        await asyncio.sleep(60)
        yield 2

    async def work(number):
        return number

    async with aclosing(in_flight(slow(), work, 2)) as stream:
        assert await asyncio.wait_for(anext(stream), 30) == 1


async def test_the_first_error_cancels_what_is_in_the_making():
    cancelled = []

    async def work(number):
        if number == 2:
            raise ValueError("broken")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ValueError, match="broken"):
        async for _ in in_flight(numbers(9), work, 3):
            pass
    assert sorted(cancelled) == [0, 1]
