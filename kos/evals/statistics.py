"""Estimates and paired comparisons. The unit is the prompt: its samples are averaged first.

Intervals are taken on unclipped means; only a printed headline is clipped.
Source: reference for the standard error, HealthBench Professional (arXiv:2604.27470), appendix;
paired analysis, Miller (arXiv:2411.00640), sec. 4.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

FLIPS = 20_000


class Estimate(NamedTuple):
    """A mean over ``n`` prompts with its standard error and 95 % t interval."""

    mean: float
    standard_error: float
    low: float
    high: float
    n: int


class Comparison(NamedTuple):
    """Candidate minus baseline on shared prompts; ``p`` is a two-sided sign-flip test's."""

    delta: Estimate
    p: float
    wins: int
    ties: int
    losses: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, SE = SD / sqrt(n) and t interval; None for no value, SE 0 for a single one."""
    n = len(values)
    if n == 0:
        return None
    mean = fmean(values)
    error = stdev(values) / math.sqrt(n) if n > 1 else 0.0
    reach = t_quantile(0.975, n - 1) * error if n > 1 else 0.0
    return Estimate(mean, error, mean - reach, mean + reach, n)


def compare(
    candidate: dict[str, float], baseline: dict[str, float], seed: int
) -> Comparison | None:
    """Paired comparison over the prompts both have; None when they share none."""
    shared = sorted(candidate.keys() & baseline.keys())
    differences = [candidate[key] - baseline[key] for key in shared]
    delta = estimate(differences)
    if delta is None:
        return None
    return Comparison(
        delta=delta,
        p=sign_flip_p(differences, seed),
        wins=sum(difference > 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
    )


def sign_flip_p(differences: Sequence[float], seed: int) -> float:
    """Two-sided permutation p: (1 + hits) / (flips + 1) under random signs."""
    moving = [difference for difference in differences if difference != 0]
    observed = abs(sum(moving))
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    hits = 0
    for _ in range(FLIPS):
        signs = rng.getrandbits(len(moving) or 1)
        total = sum(d if signs >> i & 1 else -d for i, d in enumerate(moving))
        hits += abs(total) >= observed - 1e-12
    return (1 + hits) / (FLIPS + 1)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % Wilson interval of a rate; (0, 1) for no observation."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.975)
    rate = hits / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def t_quantile(probability: float, degrees: int) -> float:
    """Student's t quantile by inverting its distribution function; accurate to 1e-9."""
    if degrees > 1_000_000:
        return NormalDist().inv_cdf(probability)
    low, high = 0.0, 1e4
    for _ in range(200):
        middle = (low + high) / 2
        if _t_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_cdf(t: float, degrees: int) -> float:
    # Abramowitz and Stegun, 26.7.3 and 26.7.4: closed sums for whole degrees of freedom.
    angle = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if odd:
        return 0.5 + (angle + math.sin(angle) * total) / math.pi
    return 0.5 + math.sin(angle) * total / 2
