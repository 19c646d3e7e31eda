from __future__ import annotations

import pytest
from pydantic import ValidationError

from kos.config import Train
from kos.errors import UserError
from kos.events import LocalJob
from kos.rl.rewards.base import Outcome, Situation, rewarded
from kos.rl.rewards.conciseness import ConcisenessBonus
from kos.rl.rewards.self_critique import SelfCritique, critics_for
from tests.kos.engine.tiny import make_tasks
from tests.kos.rl.critic.scripted import ScriptedCritic, always_a, longer

TASK = make_tasks()[0]
GROUP = [Outcome(0.5, 9, 9, answer=answer) for answer in ("Rest.", "Rest well.", "Rest at once.")]


def around(critic=None, step=1, memory=None) -> Situation:
    return Situation(TASK, 0.0, step, {} if memory is None else memory, critic)


def critiques(stage, critic, group=GROUP):
    return [
        None if parts is None else parts["critique"]
        for parts in stage.parts(group, around(critic))
    ]


def test_the_part_is_the_weight_times_the_win_rate():
    assert critiques(SelfCritique(weight=0.4), ScriptedCritic(longer)) == [0.0, 0.2, 0.4]


def test_bradley_terry_ranks_as_the_wins_do():
    stage = SelfCritique(weight=1, method="bradley_terry")
    found = critiques(stage, ScriptedCritic(longer))
    assert found == sorted(found)
    assert sum(found) / 3 == pytest.approx(0.5)


def test_verdicts_that_the_order_decides_teach_nothing():
    assert critiques(SelfCritique(weight=1), ScriptedCritic(always_a)) == [0.5, 0.5, 0.5]


def test_a_broken_rule_is_worth_the_groups_minimum():
    critic = ScriptedCritic(longer, breaking=("once",))
    assert critiques(SelfCritique(weight=1), critic) == [0.0, 0.5, 0.0]


def test_an_answer_without_a_verdict_is_ungraded():
    silent = ScriptedCritic(lambda a, b: None if "well" in a + b else longer(a, b))
    kept = rewarded(GROUP, [SelfCritique()], [around(silent)])
    assert [one is None for one in kept] == [False, True, False]


def test_the_charts_show_flips_and_what_could_not_be_read():
    stage, memory = SelfCritique(), {}
    stage.parts(GROUP, around(ScriptedCritic(always_a), memory=memory))
    assert stage.numbers(GROUP, around(memory=memory)) == {
        "critic/flips": 1.0,
        "critic/ties": 1.0,
        "critic/unreadable": 0.0,
        "critic/broken": 0.0,
    }


def test_the_numbers_are_of_their_own_step():
    stage, memory = SelfCritique(), {}
    stage.parts(GROUP, around(ScriptedCritic(always_a), step=1, memory=memory))
    stage.parts(GROUP, around(ScriptedCritic(longer), step=2, memory=memory))
    assert stage.numbers(GROUP, around(step=2, memory=memory))["critic/flips"] == 0.0
    assert stage.numbers(GROUP, around(step=3, memory=memory)) == {}


def test_rubrics_of_ones_own_and_of_the_prompt_are_compared_by():
    critic = ScriptedCritic(longer)
    stage = SelfCritique(rubrics=("clarity", "handover"), own=("Names a dose.",), of_prompt=True)
    stage.parts(GROUP, around(critic))
    assert critic.asked == [("clarity", "own:1", "task:j")]


def test_an_unknown_rubric_is_refused():
    with pytest.raises(ValidationError, match="no rubric called 'kindness'"):
        SelfCritique(mandatory=("kindness",))


def test_without_a_critic_a_sentence_says_so():
    with pytest.raises(UserError, match="needs a critic"):
        SelfCritique().parts(GROUP, around())


def test_every_stage_gets_its_own_critic(tmp_path):
    stages = [ConcisenessBonus(), SelfCritique(critic={"kind": "endpoint", "model": "judge-7"})]
    none, critic = critics_for(stages, None, LocalJob(tmp_path))
    assert none is None
    assert critic.model == "judge-7"


def test_it_is_a_stage_to_choose():
    config = Train(rewards=[{"kind": "self_critique", "critic": {"kind": "policy"}}])
    assert isinstance(config.rewards[0], SelfCritique)
