from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kos.errors import UserError
from kos.rl.prompts.interleave import Interleave
from tests.kos.rl.prompts.picking import make, pick

TASKS = make(tags=[("agentic",)] * 3 + [()] * 6)
SAMPLER = Interleave(ratios=("agentic: 1", "rest: 3"))


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=5), st.integers(1, 64))
def test_every_batch_has_each_share_within_one_and_all_are_even_over_time(ratios, count):
    sampler = Interleave(ratios=[f"set{n}: {ratio}" for n, ratio in enumerate(ratios)])
    quotas = [count * ratio / sum(ratios) for ratio in ratios]
    batches = [sampler.counts(count, step) for step in range(1, 41)]
    for batch in batches:
        assert sum(batch) == count
        assert all(abs(n - quota) < 1 + 1e-9 for n, quota in zip(batch, quotas, strict=True))
    for number, quota in enumerate(quotas):
        assert abs(sum(batch[number] for batch in batches) - 40 * quota) < 5


def test_a_rare_set_gets_its_turn():
    sampler = Interleave(ratios=("agentic: 1", "rest: 9"))
    assert sum(sampler.counts(4, step)[0] for step in range(1, 101)) in (39, 40, 41)


def test_prompts_come_from_their_sets():
    for step in range(1, 9):
        places = pick(SAMPLER, TASKS, 8, step=step)
        assert sum(place < 3 for place in places) == 2


def test_within_a_set_every_prompt_is_asked_equally_often():
    seen = Counter(place for step in range(1, 13) for place in pick(SAMPLER, TASKS, 4, step=step))
    agentic, rest = {seen[place] for place in range(3)}, {seen[place] for place in range(3, 9)}
    assert (agentic, rest) == ({4}, {6})


def test_use_case_and_type_count_as_tags_and_the_first_line_takes_a_task():
    tasks = make(
        use_case=["writing", "writing", "consult"], type=["red_teaming", "other", "other"]
    )
    sampler = Interleave(ratios=("red_teaming: 1", "writing: 1"))
    assert {tuple(sorted(pick(sampler, tasks, 2, step=step))) for step in range(1, 9)} == {(0, 1)}


def test_an_empty_set_is_named():
    with pytest.raises(UserError, match="no training prompt belongs to 'swarm'"):
        pick(Interleave(ratios=("swarm: 1", "rest: 1")), TASKS, 4)


@pytest.mark.parametrize("line", ["agentic", "agentic: none", "agentic: 0", ": 1", "a: inf"])
def test_a_line_that_is_no_ratio_is_refused(line):
    with pytest.raises(ValidationError, match="is no ratio"):
        Interleave(ratios=(line,))


def test_a_tag_with_two_lines_is_refused():
    with pytest.raises(ValidationError, match="agentic has two lines"):
        Interleave(ratios=("agentic: 1", "agentic: 2"))
