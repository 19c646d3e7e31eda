from __future__ import annotations

from dataclasses import replace

import pytest

from kos.engine.base import SamplingParams
from kos.engine.models import load_model
from kos.engine.sampling import Sampler
from kos.rl.partial import Draft, Pending, begin, go_on
from kos.rl.rollouts import Rollout, Segment
from tests.kos.engine import tiny

PROMPT = (5, 6, 7, 8)


class Policy:
    """The tiny model without an ending token, so that answers are as long as they may be."""

    version = 0

    def __init__(self, sampler):
        self.sample = sampler.sample


@pytest.fixture(scope="module")
def policy(policy):
    return Policy(Sampler(load_model(policy, tiny.MACHINE), frozenset()))


def decode(ids):
    return "".join(chr(97 + i % 26) for i in ids)


def pending(max_tokens=300, temperature=1.0, count=2):
    params = SamplingParams(max_tokens, temperature=temperature, seed=11)
    return Pending("task", PROMPT, params, 1, (Draft(),) * count)


def rollout(*segments):
    return Rollout(tuple(segments), "stop", "", "", "", (), 0, advantage=0.5)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_300_tokens_at_128_an_iteration_take_three_and_equal_the_unbroken_answer(
    policy, temperature
):
    first = begin([pending(temperature=temperature)], policy, budget=128, decode=decode).groups
    second = go_on(first, policy, budget=128, decode=decode).groups
    assert not second[0].is_whole
    [group] = go_on(second, policy, budget=128, decode=decode).groups
    assert group.is_whole
    unbroken = policy.sample([PROMPT], [group.params], num_samples=2)[0]
    for draft, answer in zip(group.drafts, unbroken, strict=True):
        assert [len(segment.tokens) for segment in draft.segments] == [128, 128, 44]
        assert draft.so_far.tokens == answer.tokens
        assert draft.so_far.logprobs == pytest.approx(answer.logprobs, abs=1e-4)


def test_without_a_budget_an_answer_is_whole_at_once(policy):
    [group] = begin([pending(40)], policy, budget=0, decode=decode).groups
    assert [len(draft.segments) for draft in group.drafts] == [1, 1]
    assert {draft.stop_reason for draft in group.drafts} == {"length"}


def test_a_continued_answer_reads_its_beginning_again(policy):
    first = begin([pending(20)], policy, budget=8, decode=decode)
    assert first.num_read == len(PROMPT)
    assert go_on(first.groups, policy, budget=8, decode=decode).num_read == 2 * (len(PROMPT) + 8)


def test_every_segment_knows_the_policy_it_is_from(policy):
    [group] = begin([pending(12)], policy, budget=8, decode=decode).groups
    later = Policy(policy)
    later.version = 3
    [group] = go_on([group], later, budget=8, decode=decode).groups
    assert [[s.version for s in draft.segments] for draft in group.drafts] == [[0, 3], [0, 3]]


def test_a_whole_answer_of_an_unfinished_group_waits_unchanged(policy):
    [group] = begin([pending(8)], policy, budget=4, decode=decode).groups
    whole = replace(group.drafts[0], stop_reason="stop")
    [group] = go_on(
        [replace(group, drafts=(whole, group.drafts[1]))], policy, budget=4, decode=decode
    ).groups
    assert group.drafts[0] == whole
    assert len(group.drafts[1].so_far.tokens) == 8


def test_old_segments_are_read_and_not_learnt():
    old, new = Segment((1, 2), (-0.1, -0.2), 4), Segment((3,), (-0.3,), 6)
    [datum] = rollout(old, new).data((9, 8), "mask")
    assert datum.tokens == (9, 8, 1, 2)
    assert datum.mask == (0, 0, 0, 1)
    assert datum.logprobs == (0.0, 0.0, 0.0, -0.3)
    assert datum.advantages == (0.0, 0.0, 0.0, 0.5)


def test_old_segments_may_be_corrected_by_their_own_logprobs():
    old, new = Segment((1, 2), (-0.1, -0.2), 4), Segment((3,), (-0.3,), 6)
    [datum] = rollout(old, new).data((9, 8), "correct")
    assert datum.mask == (0, 1, 1, 1)
    assert datum.logprobs == (0.0, -0.1, -0.2, -0.3)
    assert rollout(old, new).version("correct") == 4
    assert rollout(old, new).version("mask") == 6
