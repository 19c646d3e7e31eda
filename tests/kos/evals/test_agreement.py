from __future__ import annotations

import pytest

from kos.evals.agreement import Pair, TwoWay, interval, krippendorff, two_way


def test_cohens_kappa_of_fifty_applications() -> None:
    # The usual example: two readers say yes or no to 50 proposals.
    table = TwoWay(both=20, first_only=5, second_only=10, neither=15)
    assert table.percent == pytest.approx(0.7)
    assert table.kappa == pytest.approx(0.4)


def test_krippendorffs_alpha_of_two_observers_and_ten_binary_units() -> None:
    # Krippendorff (2011), section A.
    first, second = "0100000010", "1110010000"
    assert krippendorff([*zip(first, second, strict=True)]) == pytest.approx(0.095, abs=5e-4)


def test_krippendorffs_alpha_of_four_observers_with_gaps() -> None:
    # Krippendorff (2011), section C.
    rows = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = [[value for value in column if value != "."] for column in zip(*rows, strict=True)]
    assert krippendorff(units) == pytest.approx(0.743, abs=5e-4)


def test_macro_f1_of_the_meta_evaluation_example() -> None:
    # Predictions T, F, T; physicians [T, T, F], [T, F], [F]: F1 4/7 and 2/5.
    physicians = [(True, [True, True, False]), (False, [True, False]), (True, [False])]
    pairs = [
        Pair(str(number), judge, label)
        for number, (judge, labels) in enumerate(physicians)
        for label in labels
    ]
    assert two_way(pairs).macro_f1 == pytest.approx((4 / 7 + 2 / 5) / 2)


def test_balanced_accuracy_does_not_reward_always_saying_no() -> None:
    assert TwoWay(both=0, second_only=10, neither=90).balanced_accuracy == 0.5


def test_agreement_that_chance_alone_explains_has_no_kappa() -> None:
    assert TwoWay(both=8).kappa is None
    assert krippendorff([[1, 1], [1, 1]]) is None


def test_items_of_one_example_widen_the_interval() -> None:
    verdicts = [(True, True), (True, False), (False, False), (False, True)] * 10
    apart = [Pair(str(n), *verdict) for n, verdict in enumerate(sorted(verdicts))]
    together = [Pair(str(n // 10), *verdict) for n, verdict in enumerate(sorted(verdicts))]
    wide, narrow = (interval(p, lambda t: t.percent, seed=1) for p in (together, apart))
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > narrow.high - narrow.low
    assert (wide.value, wide.num_clusters, narrow.num_clusters) == (0.5, 4, 40)
