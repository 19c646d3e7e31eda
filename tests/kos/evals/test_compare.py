from __future__ import annotations

import pytest

from kos.errors import UserError
from kos.evals.compare import (
    Setting,
    compare_runs,
    failure_changes,
    flips,
    histogram,
    judges_of,
    refuse_unlike,
    win_rate,
)
from kos.evals.scores import Mode
from tests.kos.evals.graded import make_answer, make_items, make_scored

MODE = Mode("raw")


def test_only_shared_prompts_are_compared_and_the_rest_is_counted() -> None:
    ours = [make_scored(name, 0.8) for name in "abc"]
    theirs = [make_scored(name, 0.5) for name in "bcde"]
    found = compare_runs(ours, theirs, MODE)
    assert found.overall is not None
    assert (found.overall.delta.n, found.overall.delta.mean) == (2, pytest.approx(0.3))
    assert (found.only_candidate, found.only_baseline) == (1, 2)


def test_the_worst_regression_names_the_items_that_flipped() -> None:
    before = [make_answer("a", (10, True), (5, True), (-6, False)), make_scored("b", 0.5)]
    after = [make_answer("a", (10, False), (5, True), (-6, True)), make_scored("b", 0.9)]
    found = compare_runs(after, before, MODE)
    worst = found.regressions[0]
    assert [row.prompt_id for row in found.regressions] == ["a"]
    assert [row.prompt_id for row in found.gains] == ["b"]
    assert [(flip.key, flip.change) for flip in worst.flips] == [("k0", -10), ("k2", -6)]
    assert worst.delta == pytest.approx((5 - 6) / 15 - 1)


def test_an_item_flips_when_half_of_the_samples_moved() -> None:
    before = [make_answer("a", (4, True), sample=k) for k in range(4)]
    after = [make_answer("a", (4, k > 0), sample=k) for k in range(4)]
    assert flips(after, before) == ()
    after = [make_answer("a", (4, k > 1), sample=k) for k in range(4)]
    assert [(flip.before, flip.after) for flip in flips(after, before)] == [(1.0, 0.5)]


def test_restricted_text_is_not_in_a_flip() -> None:
    before = [make_answer("a", (4, True), restricted=True)]
    after = [make_answer("a", (4, False), restricted=True)]
    assert [(flip.key, flip.text) for flip in flips(after, before)] == [("k0", "")]


def test_every_pair_of_samples_is_a_game_and_ties_are_dropped() -> None:
    ours = [make_scored("a", score, sample=k) for k, score in enumerate((0.5, 0.9))]
    theirs = [make_scored("a", score, sample=k) for k, score in enumerate((0.5, 0.7))]
    found = win_rate(ours, theirs, MODE)
    assert (found.wins, found.losses, found.ties, found.rate) == (2, 1, 1, pytest.approx(2 / 3))


def test_matched_games_are_those_of_like_length() -> None:
    ours = [make_scored("a", 0.9, chars=1000), make_scored("b", 0.9, chars=3000)]
    theirs = [make_scored("a", 0.5, chars=1050), make_scored("b", 0.5, chars=1000)]
    assert win_rate(ours, theirs, MODE, match=0.10).wins == 1


def test_failures_are_paired_by_prompt_and_sample() -> None:
    before = [make_scored(str(n), 0.5, flags=("empty",) if n < 2 else ()) for n in range(12)]
    after = [make_scored(str(n), 0.5, flags=("empty",) if n >= 2 else ()) for n in range(12)]
    (found,) = failure_changes(after, before)
    assert (found.before, found.after, found.only_before, found.only_after) == (2, 10, 2, 10)
    assert found.p == pytest.approx(158 / 4096)


def test_the_histogram_covers_every_difference_once() -> None:
    bars = histogram([-0.25, -0.3, 0.0, 0.3])
    assert sum(bar.n for bar in bars) == 4
    assert (bars[0].low, bars[0].n, bars[-1].low) == (-0.3, 2, 0.3)


def test_runs_under_another_judge_are_refused_unless_confirmed() -> None:
    ours, theirs = (MODE, Setting("d1", "judge:a")), (MODE, Setting("d1", "judge:b"))
    with pytest.raises(UserError, match="differ in judge"):
        refuse_unlike(ours, theirs)
    refuse_unlike(ours, theirs, confirmed=True)
    refuse_unlike(ours, (MODE, Setting("d1", "")))


def test_no_confirmation_compares_two_modes() -> None:
    with pytest.raises(UserError, match="one mode"):
        refuse_unlike((MODE, Setting()), (Mode("unit"), Setting()), confirmed=True)


def test_checks_are_no_judge() -> None:
    answers = [
        make_answer("a", items=make_items([(1, True)], grader="check")),
        make_answer("b", items=make_items([(1, True)], grader="judge:x@1")),
    ]
    assert judges_of(answers) == "judge:x@1"
