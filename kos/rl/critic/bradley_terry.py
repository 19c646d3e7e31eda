"""Strengths from comparisons: the Bradley-Terry model, P(i beats j) = p_i / (p_i + p_j).

Shapes: ``G`` answers; ``wins_GG[i][j]`` counts how often i beat j, a tie half for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MAX_ROUNDS = 10_000
CLOSE = 1e-12


def strengths(wins_GG: Sequence[Sequence[float]], *, prior: float = 0.5) -> list[float]:
    """Strengths (G,) with geometric mean 1, by the MM algorithm.

    ``prior`` is a number of wins that every answer is given over every other one: with it the
    estimate always exists and is unique, even where somebody won everything or was never compared.
    With a prior of 0 each answer must have won and lost. Source: Hunter, MM algorithms for
    generalized Bradley-Terry models, Ann. Statist. 2004;32:384, eq. 3.
    """
    count = len(wins_GG)
    won_GG = [
        [wins_GG[i][j] + prior if i != j else 0.0 for j in range(count)] for i in range(count)
    ]
    played_GG = [[won_GG[i][j] + won_GG[j][i] for j in range(count)] for i in range(count)]
    won_G = [math.fsum(row) for row in won_GG]
    assert all(won_G) or count < 2, "an answer without a win has no strength above 0"
    p_G = [1.0] * count
    for _ in range(MAX_ROUNDS if count > 1 else 0):
        fresh_G = _centred(
            [
                won_G[i]
                / math.fsum(played_GG[i][j] / (p_G[i] + p_G[j]) for j in range(count) if j != i)
                for i in range(count)
            ]
        )
        change = max(abs(new / old - 1) for new, old in zip(fresh_G, p_G, strict=True))
        p_G = fresh_G
        if change < CLOSE:
            break
    return p_G


def expected_win_rates(p_G: Sequence[float]) -> list[float]:
    """How often each would beat another one of the group, in (0, 1)."""
    return [
        math.fsum(p / (p + other) for j, other in enumerate(p_G) if j != i) / (len(p_G) - 1)
        for i, p in enumerate(p_G)
    ]


def _centred(p_G: Sequence[float]) -> list[float]:
    mean = math.exp(math.fsum(map(math.log, p_G)) / len(p_G))
    return [p / mean for p in p_G]
