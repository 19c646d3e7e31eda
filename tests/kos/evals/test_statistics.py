"""Numbers from reference texts: worked examples of HealthBench Professional and t tables."""

from __future__ import annotations

import math
import random
import time

import pytest

from kos.evals.statistics import (
    bootstrap_interval,
    clip_unit,
    clipped_mean_deviation,
    clustered_error,
    compare,
    deviation,
    estimate,
    fit,
    holm,
    mcnemar_p,
    minimum_detectable,
    resampled_means,
    sign_flip_p,
    t_quantile,
    t_test_p,
    variance_parts,
    wilson,
)


def test_the_standard_error_is_taken_over_prompt_means() -> None:
    found = estimate([0.6, 0.2, 0.7])
    assert found is not None
    assert found.mean == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(0.15275, abs=1e-5)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.70620), (2, 4.30265), (9, 2.26216), (30, 2.04227)]
)
def test_t_quantiles_equal_the_table(degrees: int, quantile: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, abs=1e-5)


def test_no_value_has_no_estimate() -> None:
    assert estimate([]) is None
    assert compare({"a": 1.0}, {"b": 1.0}, seed=0) is None


def test_a_comparison_uses_shared_prompts_only() -> None:
    found = compare({"a": 1.0, "b": 0.5, "c": 9.0}, {"a": 0.5, "b": 0.5}, seed=0)
    assert found is not None
    assert (found.delta.mean, found.wins, found.ties, found.losses) == (0.25, 1, 1, 0)


def test_ten_wins_of_ten_are_significant_and_alternating_signs_are_not() -> None:
    assert sign_flip_p([0.1] * 10, seed=1) == pytest.approx(2 / 2**10, abs=0.002)
    assert sign_flip_p([0.1, -0.1] * 5, seed=1) == pytest.approx(1.0)


def test_wilson_gives_its_known_interval_for_three_of_a_hundred() -> None:
    assert wilson(3, 100) == pytest.approx((0.01025, 0.08452), abs=1e-5)


def test_the_samples_of_three_prompts_give_the_paper_s_worked_numbers() -> None:
    groups = [[0.5, 0.7], [0.2, 0.2], [0.9, 0.5]]
    found = variance_parts(groups)
    assert (found.s2, found.tau2) == (
        pytest.approx(0.0333, abs=1e-4),
        pytest.approx(0.0533, abs=1e-4),
    )
    assert found.standard_error == pytest.approx(0.15275, abs=1e-5)
    clustered = clustered_error([x for group in groups for x in group], [1, 1, 2, 2, 3, 3])
    assert clustered == (pytest.approx(0.15275, abs=1e-5), 3)
    # Miller's own formula lacks the factor C / (C - 1).
    assert clustered.standard_error * math.sqrt(2 / 3) == pytest.approx(0.12472, abs=1e-5)


def test_variance_between_prompts_is_cut_at_zero() -> None:
    found = variance_parts([[0.0, 1.0], [0.0, 1.0]])
    assert found.tau2 == 0
    assert found.standard_error == pytest.approx(math.sqrt(0.5 / 4))


def test_the_professional_error_is_the_deviation_of_prompt_means() -> None:
    rng = random.Random(3)
    groups = [[base + rng.gauss(0, 0.1) for _ in range(8)] for base in (0.1, 0.9, 0.4, 0.6)]
    found = estimate([sum(group) / 8 for group in groups])
    assert found is not None
    assert variance_parts(groups).standard_error == pytest.approx(found.standard_error)


def test_the_paired_t_test_gives_students_own_example() -> None:
    # Student (1908), extra hours of sleep under two drugs in ten patients: t = 4.0621, p = 0.00283.
    gains = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = estimate(gains)
    assert found is not None
    assert found.mean / found.standard_error == pytest.approx(4.0621, abs=1e-4)
    assert t_test_p(found) == pytest.approx(0.00283, abs=1e-5)


def test_differences_that_never_vary_have_a_p_of_0_or_1() -> None:
    same, none = estimate([0.5, 0.5]), estimate([0.0, 0.0])
    assert same is not None
    assert none is not None
    assert (t_test_p(same), t_test_p(none)) == (0.0, 1.0)


@pytest.mark.parametrize("n", [1, 5, 8, 11])
def test_sign_flips_by_table_equal_all_flips_counted(n: int) -> None:
    rng = random.Random(n)
    values = [rng.gauss(0.3, 1) for _ in range(n)]
    observed = abs(sum(values)) - 1e-12
    totals = [
        abs(sum(v if mask >> i & 1 else -v for i, v in enumerate(values)))
        for mask in range(2 ** len(values))
    ]
    exact = sum(total >= observed for total in totals) / len(totals)
    assert sign_flip_p(values, seed=1) == pytest.approx(exact, abs=0.012)


def test_20_000_flips_of_1000_prompts_take_less_than_2_seconds() -> None:
    rng = random.Random(0)
    values = [rng.gauss(0.01, 0.3) for _ in range(1000)]
    started = time.process_time()
    sign_flip_p(values, seed=0)
    assert time.process_time() - started < 2


def test_the_same_seed_gives_the_same_interval_and_p() -> None:
    values = [0.1, -0.3, 0.4, 0.2, 0.05]
    assert bootstrap_interval(values, 5, draws=200) == bootstrap_interval(values, 5, draws=200)
    assert bootstrap_interval(values, 5, draws=200) != bootstrap_interval(values, 6, draws=200)
    assert sign_flip_p(values, 5) == sign_flip_p(values, 5)


def test_the_bootstrap_interval_is_near_the_normal_one() -> None:
    rng = random.Random(2)
    values = [rng.gauss(0.2, 0.3) for _ in range(300)]
    found, known = bootstrap_interval(values, 0, draws=2000), estimate(values)
    assert known is not None
    assert (found.low, found.high) == (
        pytest.approx(known.low, abs=0.004),
        pytest.approx(known.high, abs=0.004),
    )


def test_holm_steps_down_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_mcnemar_is_a_sign_test_of_the_discordant_pairs() -> None:
    assert mcnemar_p(1, 8) == pytest.approx(20 / 512)
    assert mcnemar_p(3, 3) == 1.0
    assert mcnemar_p(0, 0) == 1.0
    assert 0 <= mcnemar_p(900, 1200) < 1e-9


@pytest.mark.parametrize(("n", "low", "high"), [(1000, 0.024, 0.035), (525, 0.033, 0.048)])
def test_the_detectable_difference_is_the_known_one(n: int, low: float, high: float) -> None:
    assert minimum_detectable(0.27, n) == pytest.approx(low, abs=5e-4)
    assert minimum_detectable(0.39, n) == pytest.approx(high, abs=5e-4)


def test_a_line_is_fitted_with_its_r() -> None:
    found = fit([0, 1, 2, 3], [1, 3, 5, 7])
    assert (found.slope, found.intercept, found.r) == pytest.approx((2, 1, 1))
    assert fit([1, 1], [0, 2]) == (0.0, 1.0, None, 2)


def test_clustered_errors_grow_when_samples_agree() -> None:
    values = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    alone = clustered_error(values, range(8)).standard_error
    assert clustered_error(values, [0, 0, 1, 1, 2, 2, 3, 3]).standard_error > 1.4 * alone


def test_the_clipped_deviation_near_the_floor_is_smaller_than_the_honest_one() -> None:
    rng = random.Random(4)
    values = [rng.gauss(-0.001, 0.3) for _ in range(1500)]
    drawn = [clip_unit(mean) for mean in resampled_means(values, 1, draws=2000)]
    assert clipped_mean_deviation(values) == pytest.approx(deviation(drawn, ddof=0), rel=0.08)
    assert clipped_mean_deviation(values) < 0.7 * deviation(values) / math.sqrt(1500)
