"""Two rates of different answers, one against the other.

For the same prompts answered twice ``kos.evals.statistics.mcnemar_p`` is the sharper test; this
one is for arms that need not share a prompt, and for rates over turns and calls.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from kos.evals.statistics import wilson

NORMAL = NormalDist()
# Where one would expect fewer cases than this in a cell, the exact test is used.
LEAST_EXPECTED = 5


class RateChange(NamedTuple):
    """The second rate minus the first with its 95 % interval, and p that they are one."""

    difference: float
    low: float
    high: float
    p: float
    is_exact: bool


def compare_rates(hits_1: int, n_1: int, hits_2: int, n_2: int) -> RateChange | None:
    """Two-proportion test; None where a side counted nothing.

    p is of the pooled z test, or of Fisher's exact test where a cell would expect fewer than
    five. The interval is Newcombe's, from the two Wilson intervals (Stat Med 1998;17:873,
    method 10).
    """
    if not n_1 or not n_2:
        return None
    first, second = hits_1 / n_1, hits_2 / n_2
    (low_1, high_1), (low_2, high_2) = wilson(hits_1, n_1), wilson(hits_2, n_2)
    low = second - first - math.hypot(second - low_2, high_1 - first)
    high = second - first + math.hypot(high_2 - second, first - low_1)
    pooled = (hits_1 + hits_2) / (n_1 + n_2)
    is_exact = min(n_1, n_2) * min(pooled, 1 - pooled) < LEAST_EXPECTED
    p = _fisher_p(hits_1, n_1, hits_2, n_2) if is_exact else _z_p(first, n_1, second, n_2, pooled)
    return RateChange(second - first, low, high, p, is_exact)


def answers_needed(first: float, second: float) -> int:
    """Answers a side that tell two rates apart at 5 % in four of five tries.

    3 % from 0.2 % takes some 314 (Fleiss, Statistical Methods for Rates and Proportions, sec. 4).
    """
    mean = (first + second) / 2
    at_null = NORMAL.inv_cdf(0.975) * math.sqrt(2 * mean * (1 - mean))
    apart = NORMAL.inv_cdf(0.8) * math.sqrt(first * (1 - first) + second * (1 - second))
    return math.ceil(((at_null + apart) / (first - second)) ** 2)


def _z_p(first: float, n_1: int, second: float, n_2: int, pooled: float) -> float:
    error = math.sqrt(pooled * (1 - pooled) * (1 / n_1 + 1 / n_2))
    return min(1.0, 2 * (1 - NORMAL.cdf(abs(second - first) / error)))


def _fisher_p(hits_1: int, n_1: int, hits_2: int, n_2: int) -> float:
    """The probability of all tables no likelier than this one, margins given."""
    hits = hits_1 + hits_2
    tables = range(max(0, hits - n_2), min(n_1, hits) + 1)
    logs = {k: _log_choose(n_1, k) + _log_choose(n_2, hits - k) for k in tables}
    total = _log_choose(n_1 + n_2, hits)
    # A little slack: tables equally likely must not be told apart by rounding.
    return min(
        1.0, math.fsum(math.exp(v - total) for v in logs.values() if v <= logs[hits_1] + 1e-9)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
