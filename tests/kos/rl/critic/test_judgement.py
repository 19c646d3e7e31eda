from __future__ import annotations

import pytest

from kos.rl.critic.judgement import Bout, Judgement, pairs_of, settled, shares

FINE = (False, False, False)


@pytest.mark.parametrize(
    ("forth", "back", "expected"),
    [
        ("a", "b", ("first", False)),
        ("b", "a", ("second", False)),
        ("a", "a", ("tie", True)),
        ("b", "b", ("tie", True)),
        (None, "a", (None, False)),
        ("a", None, (None, False)),
    ],
)
def test_both_orders_must_agree(forth, back, expected):
    assert settled(forth, back) == expected


def test_a_group_of_eight_has_28_pairs():
    assert len(pairs_of(8)) == 28
    assert len(set(pairs_of(8))) == 28


def test_a_tie_is_half_a_win():
    bouts = (Bout(0, 1, "first"), Bout(0, 2, "tie", True), Bout(1, 2, "second"))
    assert Judgement(bouts, FINE).win_rates() == [0.75, 0.0, 0.75]


def test_an_unreadable_bout_counts_for_nobody():
    bouts = (Bout(0, 1, "first"), Bout(0, 2, None), Bout(1, 2, None))
    judgement = Judgement(bouts, FINE)
    assert judgement.values("win_rate") == [1.0, 0.0, None]
    assert judgement.values("bradley_terry")[2] is None


def test_breaking_a_mandatory_rubric_is_worth_the_minimum_of_the_group():
    bouts = (Bout(0, 1, "first"), Bout(0, 2, "first"), Bout(1, 2, "first"))
    assert Judgement(bouts, (True, False, False)).values("win_rate") == [0.0, 0.5, 0.0]


def test_a_mandatory_rubric_that_cannot_be_read_leaves_the_answer_ungraded():
    bouts = (Bout(0, 1, "first"), Bout(0, 2, "first"), Bout(1, 2, "first"))
    assert Judgement(bouts, (None, False, False)).values("win_rate") == [None, 0.5, 0.0]


def test_bradley_terry_of_one_bout_is_the_closed_form():
    values = Judgement((Bout(0, 1, "first"),), (False, False)).values("bradley_terry", prior=0.5)
    assert values == pytest.approx([0.75, 0.25])


def test_a_lone_answer_has_no_verdict():
    for method in ("win_rate", "bradley_terry"):
        assert Judgement((), (False,)).values(method) == [None]


def test_shares_add_up_over_groups():
    first = Judgement((Bout(0, 1, "tie", True),), (False, True)).tally()
    second = Judgement((Bout(0, 1, None), Bout(0, 2, "first"), Bout(1, 2, "tie")), FINE).tally()
    assert shares([first, second]) == {
        "critic/flips": 0.25,
        "critic/ties": 0.5,
        "critic/unreadable": 0.25,
        "critic/broken": 0.2,
    }
    assert shares([]) == {}
