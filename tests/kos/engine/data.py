"""Data for engines to learn from, the same on all of them."""

from __future__ import annotations

from kos.engine.base import Datum


def datum(length: int, *, prompt: tuple[int, ...] = (5, 6, 7), advantage: float = 1.0) -> Datum:
    answer = [(7 * i + length) % 500 + 1 for i in range(length)]
    return Datum.of_answer(prompt, answer, advantage=advantage, logprobs=[-6.0] * length)


def batch() -> list[Datum]:
    """Two groups of answers of several lengths, one of a single token, and a lone prompt."""
    group = [datum(n, advantage=n % 3 - 1.0) for n in (4, 9, 1, 6)]
    other = [datum(n, prompt=(8, 9), advantage=0.5 - n % 2) for n in (3, 5)]
    return [*group, *other, datum(7, prompt=(11, 12, 13, 14))]
