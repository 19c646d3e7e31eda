from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from apps.deployments import memo
from apps.deployments.memo import Memo


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [0.0]
    # The module's own clock: the event loop goes on by the real one.
    monkeypatch.setattr(memo, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(memo, "REFRESH_SECONDS", 0.0)
    return now


class Said:
    """Answers with how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, key: str) -> int:
        self.times += 1
        return self.times


async def test_who_asks_at_once_waits_for_one_look_up():
    said = Said()
    kept = Memo(said, fresh_seconds=9, stale_seconds=9)
    assert await asyncio.gather(*(kept.get("a") for _ in range(5))) == [1] * 5
    assert await kept.get("b") == 2


async def test_an_old_answer_is_given_out_while_it_is_looked_up_again(clock):
    kept = Memo(Said(), fresh_seconds=1, stale_seconds=5)
    assert await kept.get("a") == 1
    clock[0] = 2
    assert await kept.get("a") == 1
    while kept._loading:
        await asyncio.sleep(0.01)
    assert await kept.get("a") == 2


async def test_a_stale_answer_is_not_given_out(clock):
    kept = Memo(Said(), fresh_seconds=1, stale_seconds=5)
    await kept.get("a")
    clock[0] = 6
    assert await kept.get("a") == 2


async def test_a_change_is_seen_at_once():
    kept = Memo(Said(), fresh_seconds=9, stale_seconds=9)
    await kept.get("a")
    memo.forget_all()
    assert await kept.get("a") == 2


async def test_an_error_is_raised_and_not_kept():
    def fail(key: str) -> int:
        raise LookupError(key)

    kept = Memo(fail, fresh_seconds=9, stale_seconds=9)
    for _ in range(2):
        with pytest.raises(LookupError):
            await kept.get("a")
