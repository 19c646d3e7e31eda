from __future__ import annotations

import math

import pytest

from kos.rl.critic.bradley_terry import expected_win_rates, strengths


@pytest.mark.parametrize(("wins", "losses", "prior"), [(3, 0, 0.5), (2, 5, 1.0), (7, 2, 0.0)])
def test_two_players_have_the_closed_form(wins, losses, prior):
    first, second = strengths([[0, wins], [losses, 0]], prior=prior)
    assert first / second == pytest.approx((wins + prior) / (losses + prior))
    assert first * second == pytest.approx(1)


def test_three_players_whose_wins_are_as_4_to_2_to_1():
    # 2 of 3 against the next, 4 of 5 against the last: what strengths 4, 2 and 1 expect.
    found = strengths([[0, 2, 4], [1, 0, 2], [1, 1, 0]], prior=0)
    assert found == pytest.approx([2, 1, 0.5])


def test_the_worked_example_of_four_players():
    # en.wikipedia.org/wiki/Bradley-Terry_model, worked example of solution procedure
    wins = [[0, 2, 0, 1], [3, 0, 5, 0], [0, 3, 0, 1], [4, 0, 3, 0]]
    assert strengths(wins, prior=0) == pytest.approx([0.640, 1.043, 0.660, 2.270], abs=1e-3)


def test_a_prior_keeps_a_clean_sweep_finite():
    found = strengths([[0, 2, 2], [0, 0, 2], [0, 0, 0]])
    assert found == sorted(found, reverse=True)
    assert all(map(math.isfinite, found))


def test_nobody_compared_leaves_everybody_equal():
    assert strengths([[0, 0, 0]] * 3) == pytest.approx([1, 1, 1])


def test_expected_win_rates_are_half_on_average():
    rates = expected_win_rates([4, 2, 1])
    assert rates == pytest.approx([(4 / 6 + 4 / 5) / 2, (2 / 6 + 2 / 3) / 2, (1 / 5 + 1 / 3) / 2])
    assert sum(rates) / 3 == pytest.approx(0.5)
