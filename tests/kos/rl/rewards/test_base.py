from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kos.rl.rewards.base import STAGES, Outcome, Parts, Situation, Stage, rewarded
from tests.kos.rl.rewards.groups import assert_fair, earn, groups, situation

STAGES.register_folder("kos.rl.rewards")


class Refuses(Stage):
    """Has no verdict on answers of two tokens."""

    kind: str = "refuses"

    def parts(self, outcomes_G: Sequence[Outcome], situation: Situation) -> Sequence[Parts]:
        return [None if one.num_tokens == 2 else {"seen": len(outcomes_G)} for one in outcomes_G]


def test_an_answer_without_a_verdict_is_left_out_of_what_comes_after():
    group = [Outcome(1.0, tokens, tokens) for tokens in (1, 2, 3)]
    found = rewarded(group, [Refuses(), Refuses()], [situation(), situation()])
    assert found[1] is None
    assert found[0] is not None
    # The second stage writes the same name again: it saw two answers, the first three.
    assert found[0].parts == {"rubric": 1.0, "seen": 2}


def test_a_group_without_any_verdict_stays_without():
    group = [Outcome(1.0, 2, 2)] * 2
    assert rewarded(group, [Refuses(), Refuses()], [situation()] * 2) == [None, None]


def test_a_stage_sees_what_those_before_it_gave():
    group = [Outcome(1.0, 100, 100), Outcome(1.0, 100, 100, stop_reason="length")]
    stages = [STAGES["conciseness"](), STAGES["budget"](value=0.25)]
    found = [one for one in rewarded(group, stages, [situation()] * 2) if one is not None]
    assert found[0].reward == pytest.approx(1.32)
    assert found[1].reward == pytest.approx(0.25)
    assert found[1].parts["truncation"] == pytest.approx(0.25 - 1.32)


@given(
    groups,
    st.sampled_from(["conciseness", "length_k15", "budget", "toggle", "repetition"]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_shorter_and_better_never_earn_less(group, kind, progress):
    assert_fair(group, earn(group, STAGES[kind](), situation(progress=progress)))


@given(groups, st.sampled_from(["length_k15", "budget", "toggle", "repetition", "faithfulness"]))
def test_every_stage_names_its_parts_alike_for_all_answers(group, kind):
    named = [set(parts or {}) for parts in STAGES[kind]().parts(group, situation())]
    assert all(names == named[0] and len(names) == 1 for names in named)
