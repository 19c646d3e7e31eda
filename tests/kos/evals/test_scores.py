"""The worked numbers of HealthBench's rules, and what is not a score."""

from __future__ import annotations

import pytest

from kos.errors import UserError
from kos.evals.scores import (
    Mode,
    State,
    by_prompt,
    count,
    metric_values,
    same_mode,
    score,
    value,
    worst_at_k,
)
from kos.events import ItemGrade
from tests.kos.evals.graded import make_answer, make_items, make_scored

LENGTH = Mode("healthbench_len")


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(7, True), (5, False), (10, True), (-6, True)], 0.5),
        ([(5, False), (-10, True)], -2.0),
    ],
)
def test_an_answer_earns_its_points_over_the_positive_ones(pairs, expected) -> None:
    assert value(make_answer("a", *pairs)) == expected


def test_the_mean_is_clipped_and_not_the_answers() -> None:
    answers = [make_answer("a", (5, True)), make_answer("b", (5, False), (-10, True))]
    found = score(answers, Mode("healthbench"))
    assert (found.value, found.estimate and found.estimate.mean) == (0.0, -0.5)
    assert found.is_clipped
    assert score(answers, Mode("unit")).value == 0.5
    assert score(answers, Mode("raw")).value == -0.5


@pytest.mark.parametrize(
    ("raw", "chars", "adjusted"),
    [(0.8, 2500, 0.7853), (1.0, 913, 1.0319578), (0.0, 0, 0.0588), (1.0, 20_000, 0.4708)],
)
def test_length_costs_2_94e_5_a_character_from_2000(raw, chars, adjusted) -> None:
    assert LENGTH.of_answer(raw, chars) == pytest.approx(adjusted, abs=1e-12)


def test_adjusted_answers_may_exceed_1_and_only_their_mean_is_clipped() -> None:
    answers = [make_answer("a", (1, True), chars=913), make_answer("b", (1, True), chars=20_000)]
    found = score(answers, LENGTH)
    assert found.value == pytest.approx((1.0319578 + 0.4708) / 2)
    assert score(answers[:1], LENGTH).value == 1.0


def test_a_tag_with_only_negative_items_has_no_value_for_that_answer() -> None:
    items = make_items([(5, True)])
    faults = [ItemGrade(f"f{p}", "f", p, False, "j", tags=("axis:x",)) for p in (-4, -6)]
    answer = make_answer("a", items=(*items, *faults), example_tags=("theme:t",))
    assert metric_values([answer], Mode()).keys() == {"overall_score", "theme:t"}


def test_a_rubric_tag_overwrites_an_example_tag_of_the_same_name() -> None:
    first = make_items([(5, True)])[0]
    tagged = ItemGrade("k", "t", 5, False, "j", tags=("both",))
    answer = make_answer("a", items=(first, tagged), example_tags=("both",))
    values = metric_values([answer], Mode())
    assert values["overall_score"] == [("a", 0.5)]
    assert values["both"] == [("a", 0.0)]


def test_samples_of_a_prompt_are_averaged_first() -> None:
    scores = {"a": [0.5, 0.7], "b": [0.2, 0.2], "c": [0.9, 0.5]}
    answers = [
        make_scored(prompt, value, sample=k)
        for prompt, values in scores.items()
        for k, value in enumerate(values)
    ]
    found = score(answers, Mode()).estimate
    assert found is not None
    assert (found.mean, found.n) == (pytest.approx(0.5), 3)
    assert found.standard_error == pytest.approx(0.15275, abs=1e-5)


def test_each_state_says_what_is_missing() -> None:
    answers = [
        make_answer("a", (5, True)),
        make_answer("b", (5, True), (3, None)),
        make_answer("c", error="timed out"),
        make_answer("d", (-5, False)),
        make_answer("e", items=make_items([(5, True), (-3, None)], grader="screening")),
    ]
    assert [answer.state for answer in answers] == [
        State.GRADED,
        State.INCOMPLETE,
        State.FAILED,
        State.UNSCORABLE,
        State.SCREENED,
    ]
    found = count(answers)
    assert (found.requested, found.answered, found.graded) == (5, 4, 1)
    assert (found.items, found.ungraded_items) == (6, 2)


def test_an_ungraded_item_keeps_the_answer_out_of_the_headline() -> None:
    answers = [make_answer("a", (5, True)), make_answer("b", (5, False), (-5, None))]
    assert score(answers, Mode()).value == 1.0


def test_a_failure_counts_as_empty_only_when_asked() -> None:
    failed = make_answer("a", error="no answer", chars=0)
    assert value(failed, LENGTH) is None
    assert value(failed, LENGTH, failures="empty") == pytest.approx(0.0588)
    assert value(failed, Mode(), failures="empty") == 0.0


def test_worst_at_k_is_the_mean_lowest_of_all_subsets() -> None:
    groups = {"a": [0.1, 0.5, 0.9], "b": [1.0, 1.0, 1.0], "short": [0.0]}
    assert worst_at_k(groups, 1) == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert worst_at_k(groups, 2) == pytest.approx(((0.1 + 0.1 + 0.5) / 3 + 1) / 2)
    assert worst_at_k(groups, 3) == pytest.approx((0.1 + 1) / 2)
    assert worst_at_k(groups, 4) is None


def test_numbers_of_two_modes_are_never_compared() -> None:
    assert same_mode(Mode("raw"), Mode("raw")) == Mode("raw")
    with pytest.raises(UserError, match="healthbench_len"):
        same_mode(Mode("healthbench"), LENGTH)
    with pytest.raises(UserError, match="coef=1e-05"):
        same_mode(LENGTH, Mode("healthbench_len", coef=1e-5))


def test_a_mode_that_ignores_length_compares_whatever_its_center() -> None:
    assert same_mode(Mode("raw", center=0), Mode("raw")).name == "raw"


def test_only_prompts_with_a_value_are_grouped() -> None:
    assert by_prompt([make_answer("a", (5, None))]) == {}
