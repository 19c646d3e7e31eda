"""What a step does in the ways it can be told to work."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from kos.config import Adam, Sampling
from kos.config.training import Alarms, Ptx, Rollouts, Tools
from kos.data.rubrics import Check, RubricItem
from kos.engine.local import LocalEngine
from kos.errors import GradeError, UserError
from kos.events import LocalJob
from kos.grading.base import Grader
from kos.grading.embedded import Embedded
from kos.grading.score import grade
from kos.rl import checkpoints, token_log
from kos.rl.rewards.budget import Budget
from kos.rl.train import train
from tests.kos.engine import tiny
from tests.kos.rl.running import TRAIN, notes, rollouts, run, steps

SMALL = TRAIN.model_copy(update={"groups": 2, "group_size": 3, "steps": 3})


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(checkpoints, "probe", lambda: tiny.MACHINE)


@pytest.fixture(scope="module")
def inputs(policy, dataset):
    return {"base": policy, "dataset": dataset}


def with_check(path, **check):
    """The tiny prompts with another rubric."""
    item = RubricItem(key="c", text="Checked.", points=1, check=Check(**check))
    tasks = [task.model_copy(update={"rubric": (item,)}) for task in tiny.make_tasks()]
    return tiny.write_tasks(path, tasks)


def column(job, name):
    return [step.metrics[name] for step in steps(job)]


def test_ahead_means_answers_of_an_older_policy(tmp_path, inputs):
    config = SMALL.model_copy(
        update={"rollouts": Rollouts(ahead=1, equal_groups="keep"), "substeps": 2}
    )
    job = run(train, config, tmp_path, inputs)
    # Step 1 learns from the first policy; from then on answers are one iteration, two steps old.
    assert column(job, "staleness/max") == [0, 2, 2]
    assert column(job, "kl/sample_train_v2")[1] > 1e-3
    assert [roll.versions["policy"] for roll in rollouts(job)[::6]] == ["0", "0", "2"]


def test_answers_that_are_too_old_are_dropped_and_counted(tmp_path, inputs):
    config = SMALL.model_copy(
        update={"rollouts": Rollouts(ahead=1, equal_groups="keep", max_staleness=1)}
    )
    job = run(train, config, tmp_path, inputs)
    assert column(job, "staleness/dropped")[:2] == [0, 6]
    assert any("too old to learn from" in text for text in notes(job, "warning"))
    assert column(job, "tokens/discarded")[1] == 6 * 8


def test_when_all_answers_are_alike_the_step_ends_well_and_says_why(tmp_path, inputs):
    dataset = with_check(tmp_path / "easy.jsonl", min_chars=0)
    job = run(train, SMALL, tmp_path / "run", {**inputs, "dataset": dataset})
    assert column(job, "tokens/learnt") == [0, 0, 0]
    assert column(job, "groups/equal") == [1, 1, 1]
    assert any("in all 2 groups the answers earned the same (1.000" in t for t in notes(job))
    assert column(job, "alarm/equal") == [0, 0, 1]


def test_equal_groups_are_replaced_by_other_prompts(tmp_path, inputs):
    config = TRAIN.model_copy(
        update={"steps": 2, "group_size": 2, "rollouts": Rollouts(equal_groups="refill")}
    )
    job = run(train, config, tmp_path, inputs)
    refilled, discarded = column(job, "groups/refilled"), column(job, "tokens/discarded")
    assert sum(refilled) > 0
    assert sum(discarded) > 0
    for step in (1, 2):
        asked = {one.example_id for one in rollouts(job) if one.step == step}
        assert len(asked) == 3 + refilled[step - 1]


def test_no_group_is_refilled_more_often_than_allowed(tmp_path, inputs):
    dataset = with_check(tmp_path / "easy.jsonl", min_chars=0)
    config = SMALL.model_copy(
        update={"rollouts": Rollouts(equal_groups="refill", max_refills=1), "steps": 1}
    )
    job = run(train, config, tmp_path / "run", {**inputs, "dataset": dataset})
    assert column(job, "groups/refilled") == [2]
    assert len(rollouts(job)) == 4 * 3


def test_unfinished_groups_wait_and_are_trained_once_whole(tmp_path, inputs):
    config = SMALL.model_copy(update={"rollouts": Rollouts(token_budget=4, equal_groups="keep")})
    job = run(train, config, tmp_path, inputs)
    assert column(job, "groups/pending") == [2, 2, 2]
    assert any("no answer was finished yet" in text for text in notes(job))
    # Of the eight tokens the first four are an older policy's, once there is a newer one.
    assert column(job, "tokens/learnt") == [0, 6 * 8, 6 * 4]


def test_old_segments_may_be_learnt_with_their_ratio(tmp_path, inputs):
    update = {"rollouts": Rollouts(token_budget=4, equal_groups="keep", old_segments="correct")}
    job = run(train, SMALL.model_copy(update=update), tmp_path, inputs)
    assert column(job, "tokens/learnt") == [0, 6 * 8, 6 * 8]


class Moody(Embedded):
    """A grader that fails on answers it is told to."""

    kind: Literal["moody"] = "moody"

    @asynccontextmanager
    async def open(self, job):
        yield self

    async def grade(self, submission):
        if "e" in submission.answer:
            raise GradeError("no verdict")
        return grade(submission.task, submission.answer)


def test_a_failed_grade_leaves_the_answer_out_and_raises_an_alarm(tmp_path, inputs):
    assert issubclass(Moody, Grader)
    config = SMALL.model_copy(update={"grader": Moody(), "steps": 1})
    job = run(train, config, tmp_path, inputs)
    failed = [one for one in rollouts(job) if "e" in one.answer]
    assert failed
    assert {(one.score, one.reward, one.advantage, one.error) for one in failed} == {
        (None, None, None, "no verdict")
    }
    assert column(job, "ungraded") == [len(failed) / 6]
    assert any("could not be graded" in text for text in notes(job, "error"))


def test_prompts_that_need_a_judge_are_refused_by_the_embedded_grader_alone(tmp_path, inputs):
    judged = RubricItem(key="j", text="Judged.", points=1)
    tasks = [task.model_copy(update={"rubric": (judged,)}) for task in tiny.make_tasks()]
    given = {**inputs, "dataset": tiny.write_tasks(tmp_path / "judged.jsonl", tasks)}
    with pytest.raises(UserError, match="choose a judge as grader"):
        run(train, SMALL, tmp_path / "no", given)
    config = SMALL.model_copy(update={"grader": Moody(), "steps": 1})
    assert column(run(train, config, tmp_path / "yes", given), "ungraded") == [1]


def test_a_stage_may_bound_the_answers_to_a_task(tmp_path, inputs):
    config = SMALL.model_copy(update={"rewards": (Budget(tokens=3),), "steps": 1})
    job = run(train, config, tmp_path, inputs)
    assert {one.num_tokens for one in rollouts(job)} <= {1, 2, 3}
    assert set(rollouts(job)[0].components) == {"rubric", "truncation"}
    assert column(job, "reward/part/truncation")[0] <= 0


def test_the_temperature_falls_over_the_training(tmp_path, inputs):
    temperature = SMALL.temperature.model_copy(update={"end": 0.5})
    job = run(train, SMALL.model_copy(update={"temperature": temperature}), tmp_path, inputs)
    assert column(job, "temperature") == pytest.approx([1.0, 0.75, 0.5])
    assert column(job, "kl/substep/1") == pytest.approx([0, 0, 0], abs=1e-4)


def test_ptx_keeps_curated_answers_likely(tmp_path, inputs):
    update = {"ptx": Ptx(weight=5.0, batch_size=6), "steps": 6, "adam": Adam(learning_rate=3e-3)}
    with_ptx = column(run(train, SMALL.model_copy(update=update), tmp_path, inputs), "loss/ptx")
    assert with_ptx[-1] < with_ptx[0] - 0.5


def test_ptx_reads_chosen_answers_and_leaves_out_the_rest(tmp_path, inputs):
    rows = [
        {"id": "a", "messages": [{"role": "user", "content": "Hi."}], "answer": "Rest."},
        {"id": "b", "messages": [{"role": "user", "content": "Hi."}], "answer": "x" * 900,
         "is_chosen": False},
    ]  # fmt: skip
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = SMALL.model_copy(update={"ptx": Ptx(weight=1.0, batch_size=1), "steps": 1})
    job = run(train, config, tmp_path / "run", {**inputs, "curated": path})
    assert column(job, "loss/ptx")[0] > 0


def test_the_engine_is_closed_whatever_happens(tmp_path, inputs, monkeypatch):
    closed = []
    monkeypatch.setattr(LocalEngine, "close", lambda engine: closed.append(engine))
    monkeypatch.setattr(LocalEngine, "optim_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(train, SMALL, tmp_path, inputs)
    assert len(closed) == 1


def test_tokens_and_both_logprobs_of_the_last_steps_are_kept(tmp_path, inputs):
    config = SMALL.model_copy(update={"keep_tokens": 2})
    job = run(train, config, tmp_path, inputs)
    assert token_log.steps_kept(tmp_path) == [2, 3]
    rows = token_log.read(tmp_path, 3)
    told = {(one.example_id, one.sample): one for one in rollouts(job) if one.step == 3}
    assert {(row["example_id"], row["sample"]) for row in rows} == set(told)
    learnt = [row for row in rows if None not in row["trained"]]
    assert learnt
    for row in learnt:
        assert len(row["pieces"]) == len(row["sampled"]) == len(row["versions"])
        assert "".join(row["pieces"]) != ""
    first = column(job, "tokens/learnt")[-1]
    assert sum(len(row["trained"]) for row in learnt) == first


def test_words_of_a_restricted_dataset_stay_out_of_the_token_files(tmp_path, inputs):
    tasks = [task.model_copy(update={"restricted": True}) for task in tiny.make_tasks()]
    given = {**inputs, "dataset": tiny.write_tasks(tmp_path / "secret.jsonl", tasks)}
    run(train, SMALL.model_copy(update={"steps": 1}), tmp_path / "run", given)
    rows = token_log.read(tmp_path / "run", 1)
    assert all(row["pieces"] == [] and row["sampled"] for row in rows)


def test_totals_survive_a_resume(tmp_path, inputs):
    whole = run(train, SMALL, tmp_path, inputs)
    assert column(whole, "total/tokens/sampled") == [48, 96, 144]
    longer = SMALL.model_copy(update={"steps": 4})
    assert column(run(train, longer, tmp_path, inputs), "total/tokens/sampled") == [192]


def test_tools_are_mixed_with_plain_prompts_at_the_share(tmp_path, inputs):
    tools = Tools(names=("search_icd",), share=0.5, max_turns=1, max_context=1000)
    job = run(train, SMALL.model_copy(update={"tools": tools}), tmp_path, inputs)
    with_tools = {(one.step, one.example_id) for one in rollouts(job) if one.turns}
    assert sorted(step for step, _ in with_tools) == [1, 2, 3]
    plain = [one for one in rollouts(job) if not one.turns]
    assert len(plain) == len(rollouts(job)) // 2
    assert all("search_icd" in one.turns[0].rendered for one in rollouts(job) if one.turns)


def test_an_alarm_is_raised_when_the_policy_has_nothing_left_to_try(tmp_path, inputs):
    config = SMALL.model_copy(update={"alarms": Alarms(entropy=1000.0), "steps": 1})
    job = run(train, config, tmp_path, inputs)
    assert column(job, "alarm/collapse") == [1]
    assert any("explores no more" in text for text in notes(job, "error"))


def test_sampling_stops_at_what_the_run_says(tmp_path, inputs):
    rollouts_ = Rollouts(stop_confident=1)
    sampling = Sampling(max_tokens=60, temperature=0.02)
    config = SMALL.model_copy(update={"rollouts": rollouts_, "sampling": sampling, "steps": 1})
    job = run(train, config, tmp_path, inputs)
    assert column(job, "stop/confident")[0] > 0
    assert isinstance(job, LocalJob)
