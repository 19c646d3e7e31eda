"""Estimates and paired comparisons. The unit is the prompt: its samples are averaged first.

Intervals are taken on unclipped means; only a printed headline is clipped. Whatever is drawn at
random takes a seed and gives the same numbers for it.
Source: reference for the standard error, HealthBench Professional (arXiv:2604.27470), appendix;
paired analysis and clusters, Miller (arXiv:2411.00640).
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist, fmean
from typing import NamedTuple

FLIPS = 20_000
DRAWS = 10_000
# Two-sided 5 % test found with a chance of 80 %: 1.96 + 0.84.
POWER_FACTOR = 2.8
NORMAL = NormalDist()


class Estimate(NamedTuple):
    """A mean over ``n`` prompts with its standard error and 95 % t interval."""

    mean: float
    standard_error: float
    low: float
    high: float
    n: int


class Interval(NamedTuple):
    """The two ends of a 95 % interval."""

    low: float
    high: float


class Comparison(NamedTuple):
    """Candidate minus baseline on shared prompts.

    ``p`` is a two-sided sign-flip test's, ``t_p`` the paired t test's. ``mde`` is the
    difference that 80 % of such comparisons would find. ``unpaired_error`` is what the standard
    error would be without pairing; ``correlation`` is None where one side does not vary.
    """

    delta: Estimate
    p: float
    wins: int
    ties: int
    losses: int
    t_p: float = 1.0
    bootstrap: Interval = Interval(0.0, 0.0)
    mde: float = 0.0
    unpaired_error: float = 0.0
    correlation: float | None = None


class Line(NamedTuple):
    """A least-squares line ``y = intercept + slope * x`` with Pearson's ``r`` over ``n`` points."""

    slope: float
    intercept: float
    r: float | None
    n: int


class Clustered(NamedTuple):
    """A mean's standard error when its values come in clusters, and how many there are."""

    standard_error: float
    num_clusters: int


class Parts(NamedTuple):
    """Variance within prompts (``s2``) and between them (``tau2``), and the error they give."""

    s2: float
    tau2: float
    standard_error: float


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, SE = SD / sqrt(n) and t interval; None for no value, SE 0 for a single one."""
    n = len(values)
    if n == 0:
        return None
    mean = fmean(values)
    error = deviation(values) / math.sqrt(n) if n > 1 else 0.0
    reach = t_quantile(0.975, n - 1) * error if n > 1 else 0.0
    return Estimate(mean, error, mean - reach, mean + reach, n)


def compare(
    candidate: Mapping[str, float], baseline: Mapping[str, float], seed: int
) -> Comparison | None:
    """Paired comparison over the prompts both have; None when they share none."""
    shared = sorted(candidate.keys() & baseline.keys())
    first, second = [candidate[key] for key in shared], [baseline[key] for key in shared]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    delta = estimate(differences)
    if delta is None:
        return None
    errors = [found.standard_error for found in (estimate(first), estimate(second)) if found]
    return Comparison(
        delta=delta,
        p=sign_flip_p(differences, seed),
        wins=sum(difference > 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        t_p=t_test_p(delta),
        bootstrap=bootstrap_interval(differences, seed),
        mde=POWER_FACTOR * delta.standard_error,
        unpaired_error=math.hypot(*errors),
        correlation=fit(second, first).r,
    )


def deviation(values: Sequence[float], *, ddof: int = 1) -> float:
    """Standard deviation, with ``n - ddof`` below the line."""
    mean = fmean(values)
    squares = math.fsum([(value - mean) ** 2 for value in values])
    return math.sqrt(squares / (len(values) - ddof))


def clip_unit(value: float) -> float:
    """``value`` held within [0, 1]."""
    return min(1.0, max(0.0, value))


def minimum_detectable(spread: float, n: int) -> float:
    """The difference found with 80 % power: 2.8 * SD of the differences / sqrt(n)."""
    return POWER_FACTOR * spread / math.sqrt(n)


def t_test_p(delta: Estimate) -> float:
    """Two-sided p of a t test of mean 0; 1 for a single value or one that never varies from 0."""
    if delta.standard_error == 0:
        return 1.0 if delta.mean == 0 or delta.n < 2 else 0.0
    return max(0.0, 2 * (1 - _t_cdf(abs(delta.mean) / delta.standard_error, delta.n - 1)))


def sign_flip_p(differences: Sequence[float], seed: int, *, flips: int = FLIPS) -> float:
    """Two-sided permutation p: (1 + hits) / (flips + 1) under random signs.

    Eight differences share a table of their 256 signed sums, so a flip of all signs is one
    random byte and one addition for each eight.
    """
    moving = [difference for difference in differences if difference != 0]
    if not moving:
        return 1.0
    tables = [_signed_sums(moving[start : start + 8]) for start in range(0, len(moving), 8)]
    observed = abs(math.fsum(moving)) - 1e-12
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    width, look_up = len(tables), list.__getitem__
    hits = 0
    for _ in range(flips):
        hits += abs(sum(map(look_up, tables, rng.randbytes(width)))) >= observed
    return (1 + hits) / (flips + 1)


def _signed_sums(values: Sequence[float]) -> list[float]:
    # Fewer than eight values leave the high bits unread, which keeps every sum equally likely.
    sums = [0.0]
    for value in values:
        sums = [total - value for total in sums] + [total + value for total in sums]
    return sums * (256 // len(sums))


def bootstrap_interval(values: Sequence[float], seed: int, *, draws: int = DRAWS) -> Interval:
    """95 % percentile interval of the mean over ``draws`` resamples of the prompts."""
    means = sorted(resampled_means(values, seed, draws=draws))
    return Interval(_quantile(means, 0.025), _quantile(means, 0.975))


def resampled_means(values: Sequence[float], seed: int, *, draws: int) -> Iterator[float]:
    """Means of ``draws`` resamples with replacement, each of ``len(values)`` values.

    About 0.1 us a value drawn: 10,000 resamples of 1,000 prompts take a second.
    """
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    n = len(values)
    for _ in range(draws):
        yield sum(rng.choices(values, k=n)) / n


def _quantile(ordered: Sequence[float], probability: float) -> float:
    place = probability * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values of one family, in the order given; each at most 1."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return adjusted


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Exact two-sided p of paired yes-or-no outcomes, from the two discordant counts."""
    n = only_first + only_second
    tail = sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1))
    # Whole numbers of any size: a float would overflow past about a thousand.
    return min(1.0, (2 * tail) / (1 << n)) if n else 1.0


def clustered_error(values: Sequence[float], clusters: Sequence[Hashable]) -> Clustered:
    """Standard error of the mean when values of one cluster move together.

    With C clusters the variance carries C / (C - 1): with equal cluster sizes it is exactly the
    error of the cluster means. Source: Miller, appendix A, which is without the factor.
    """
    mean, sums = fmean(values), dict[Hashable, float]()
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    num = len(sums)
    factor = num / (num - 1) if num > 1 else 1.0
    spread = math.fsum(total * total for total in sums.values())
    return Clustered(math.sqrt(factor * spread) / len(values), num)


def variance_parts(groups: Sequence[Sequence[float]]) -> Parts:
    """HealthBench Professional's interval: SE = sqrt(tau2 / n + s2 / (n * m)).

    ``groups`` holds the samples of each prompt, ``m`` of them. s2 is the mean variance within
    prompts, tau2 = max(0, Var(prompt means) - s2 / m). Unless tau2 is cut at 0 this is
    SD(prompt means) / sqrt(n).
    """
    n, m = len(groups), fmean(len(group) for group in groups)
    repeated = [deviation(group) ** 2 for group in groups if len(group) > 1]
    s2 = fmean(repeated) if repeated else 0.0
    between = deviation([fmean(group) for group in groups]) ** 2 if n > 1 else 0.0
    tau2 = max(0.0, between - s2 / m)
    return Parts(s2, tau2, math.sqrt(tau2 / n + s2 / (n * m)))


def fit(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The least-squares line through the points; flat and without r where x does not vary."""
    if not xs:
        return Line(0.0, 0.0, None, 0)
    x_mean, y_mean = fmean(xs), fmean(ys)
    sxx = math.fsum((x - x_mean) ** 2 for x in xs)
    syy = math.fsum((y - y_mean) ** 2 for y in ys)
    sxy = math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    if sxx == 0:
        return Line(0.0, y_mean, None, len(xs))
    r = max(-1.0, min(1.0, sxy / math.sqrt(sxx * syy))) if syy else None
    return Line(sxy / sxx, y_mean - sxy / sxx * x_mean, r, len(xs))


def wilson(hits: int, n: int) -> Interval:
    """95 % Wilson interval of a rate; (0, 1) for no observation."""
    if n == 0:
        return Interval(0.0, 1.0)
    z = NORMAL.inv_cdf(0.975)
    rate = hits / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(max(0.0, centre - reach), min(1.0, centre + reach))


def clipped_mean_deviation(values: Sequence[float], *, seed: int = 0) -> float:
    """What simple-evals prints as ``bootstrap_std``: the SD of resampled means clipped to [0, 1].

    simple-evals draws 1,000 resamples without a seed. Where no mean can be clipped their SD has
    a closed form, SD / sqrt(n), which is given here without the noise; from 1,000 values on the
    resampled mean is normal for all purposes, and a normal clipped at 0 and 1 has one as well.
    Only short lists near a bound are drawn. At the floor it says little: see ``estimate``.
    """
    n = len(values)
    error = deviation(values, ddof=0) / math.sqrt(n)
    mean = fmean(values)
    is_inside = min(values) >= 0 and max(values) <= 1
    if is_inside or (mean - 8 * error > 0 and mean + 8 * error < 1) or error == 0:
        return error
    if n >= 1000:
        return _clipped_normal_deviation(mean, error)
    means = resampled_means(values, seed, draws=1000)
    return deviation([clip_unit(found) for found in means], ddof=0)


def _clipped_normal_deviation(mean: float, error: float) -> float:
    low, high = -mean / error, (1 - mean) / error
    inside, above = NORMAL.cdf(high) - NORMAL.cdf(low), 1 - NORMAL.cdf(high)
    slope = NORMAL.pdf(low) - NORMAL.pdf(high)
    first = mean * inside + error * slope + above
    edges = low * NORMAL.pdf(low) - high * NORMAL.pdf(high)
    second = (mean**2 + error**2) * inside + 2 * mean * error * slope + error**2 * edges + above
    return math.sqrt(max(0.0, second - first**2))


@lru_cache(maxsize=4096)
def t_quantile(probability: float, degrees: int) -> float:
    """Student's t quantile by inverting its distribution function; accurate to 1e-9."""
    if degrees > 1_000_000:
        return NORMAL.inv_cdf(probability)
    if degrees > 30:
        return _polished(NORMAL.inv_cdf(probability), probability, degrees)
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        if _t_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _polished(t: float, probability: float, degrees: int) -> float:
    # Newton's steps from the normal quantile: four of them reach the last digit.
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2))
    scale /= math.sqrt(degrees * math.pi)
    for _ in range(4):
        density = scale * (1 + t * t / degrees) ** (-(degrees + 1) / 2)
        t -= (_t_cdf(t, degrees) - probability) / density
    return t


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
