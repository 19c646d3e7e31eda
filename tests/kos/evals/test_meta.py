from __future__ import annotations

import pytest

from kos.evals.meta import agreement, balanced_mean, by_category

VERDICTS = [True, False, True]
LABELS = [[True, True, False], [True, False], [False]]


def test_the_worked_pairs_give_their_numbers() -> None:
    found = agreement(VERDICTS, LABELS)
    assert (found.precision_met, found.precision_unmet) == (2 / 4, 1 / 2)
    assert (found.recall_met, found.recall_unmet) == (2 / 3, pytest.approx(1 / 3))
    assert (found.f1_met, found.f1_unmet) == (pytest.approx(4 / 7), pytest.approx(2 / 5))
    assert found.balanced_f1 == pytest.approx(0.4857, abs=1e-4)


def test_the_mean_over_categories_is_another_number_than_pooling() -> None:
    categories = ["a", "a", "b"]
    found = by_category(VERDICTS, LABELS, categories)
    assert found["b"].balanced_f1 is None
    assert (
        balanced_mean(found) == found["a"].balanced_f1 != agreement(VERDICTS, LABELS).balanced_f1
    )


def test_a_verdict_nobody_gave_has_no_f1() -> None:
    assert agreement([True], [[True]]).f1_unmet is None
    assert balanced_mean({}) is None
