from __future__ import annotations

import pytest

from kos.evals.proportions import answers_needed, compare_rates


def test_three_percent_from_one_in_five_hundred_takes_some_314_answers():
    assert answers_needed(0.03, 0.002) == pytest.approx(314, abs=1)


def test_a_rare_fault_is_compared_exactly():
    # Fisher's tea: 3 of 4 against 1 of 4 gives 0.4857, two-sided.
    change = compare_rates(1, 4, 3, 4)
    assert change.is_exact
    assert change.p == pytest.approx(0.4857, abs=1e-4)


def test_frequent_faults_are_compared_by_the_pooled_z_test():
    # 40 of 100 against 60 of 100: z = 0.2 / sqrt(0.5 * 0.5 / 50) = 2.828.
    change = compare_rates(40, 100, 60, 100)
    assert not change.is_exact
    assert change.p == pytest.approx(0.00468, abs=1e-5)
    assert change.difference == pytest.approx(0.2)


def test_the_interval_is_newcombes():
    # Newcombe 1998, table II (a): 56/70 - 48/80 is 0.2, method 10 gives 0.0524 to 0.3339.
    change = compare_rates(48, 80, 56, 70)
    assert (change.low, change.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_equal_rates_are_not_told_apart():
    assert compare_rates(0, 50, 0, 60).p == 1.0
    assert compare_rates(30, 100, 30, 100).p == pytest.approx(1.0)
    assert compare_rates(1, 0, 3, 4) is None
