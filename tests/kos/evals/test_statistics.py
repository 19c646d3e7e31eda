"""Numbers from reference texts: worked examples of HealthBench Professional and t tables."""

from __future__ import annotations

import pytest

from kos.evals.statistics import compare, estimate, sign_flip_p, t_quantile, wilson


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
