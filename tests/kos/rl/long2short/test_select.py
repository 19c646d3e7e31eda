from __future__ import annotations

import pytest

from kos.config import Adam, Dpo, Lora, Sampling, Select, Sft
from kos.data.answers import GradedAnswer, PreferencePair, read
from kos.errors import CancelledError, UserError
from kos.events import Progress, Saved, StepDone
from kos.rl import checkpoints
from kos.rl.dpo import dpo
from kos.rl.long2short.rules import pairs, shortest_correct
from kos.rl.long2short.select import by_prompt, select
from kos.rl.sft import sft
from tests.kos.engine import tiny
from tests.kos.rl.test_train import run, stop_at

LORA = Lora(rank=4, alpha=8)
SELECT = Select(
    sampling=Sampling(max_tokens=24), lora=LORA, cut_answers="graded", prompts_at_once=2
)


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(checkpoints, "probe", lambda: tiny.MACHINE)


@pytest.fixture
def inputs(policy, dataset):
    return {"base": policy, "dataset": dataset}


def test_the_shortest_correct_answer_of_each_prompt_is_kept(tmp_path, inputs):
    everything = run(select, SELECT.model_copy(update={"keeps": "all"}), tmp_path / "all", inputs)
    job = run(select, SELECT, tmp_path / "run", inputs)
    sampled = by_prompt(read(everything.folder / "answers.jsonl", GradedAnswer))
    best = [shortest_correct(group, SELECT.threshold) for group in sampled]
    assert [len(group) for group in sampled] == [8] * 6
    assert read(job.folder / "answers.jsonl", GradedAnswer) == [one for one in best if one]
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert (saved.artifact, saved.path) == ("answers", "answers.jsonl")
    assert saved.summary["kept_tokens"] <= saved.summary["tokens"]


def test_in_all_answers_the_kept_ones_are_marked(tmp_path, inputs):
    job = run(select, SELECT.model_copy(update={"keeps": "all"}), tmp_path / "run", inputs)
    for group in by_prompt(read(job.folder / "answers.jsonl", GradedAnswer)):
        best = shortest_correct(group, SELECT.threshold)
        assert [one for one in group if one.is_chosen] == ([best] if best else [])


def test_an_interrupted_selection_ends_with_the_same_file(tmp_path, inputs):
    unbroken = run(select, SELECT, tmp_path / "unbroken", inputs)
    with pytest.raises(CancelledError):
        run(select, SELECT, tmp_path / "broken", inputs, stop_at(StepDone, 2))
    resumed = run(select, SELECT, tmp_path / "broken", inputs)
    first, second = (job.folder / "answers.jsonl" for job in (unbroken, resumed))
    assert first.read_bytes() == second.read_bytes()


def test_a_selection_taken_up_again_asks_only_what_is_missing(tmp_path, inputs, monkeypatch):
    run(select, SELECT, tmp_path / "run", inputs)
    monkeypatch.setattr("kos.rl.engines.engine_of", pytest.fail)
    again = run(select, SELECT, tmp_path / "run", inputs)
    assert [event.done for event in again.events if isinstance(event, Progress)][-1] == 6


def test_supervised_fine_tuning_takes_what_was_selected(tmp_path, inputs):
    chosen = run(select, SELECT, tmp_path / "select", inputs).folder / "answers.jsonl"
    config = Sft(epochs=1, batch_size=2, lora=LORA, adam=Adam(learning_rate=1e-3))
    job = run(sft, config, tmp_path / "sft", {"base": inputs["base"], "answers": chosen})
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert saved.summary["answers"] == len(read(chosen, GradedAnswer))


def test_fine_tuning_leaves_out_what_was_kept_only_for_comparison(tmp_path, inputs):
    config = SELECT.model_copy(update={"keeps": "all"})
    answers = run(select, config, tmp_path / "select", inputs).folder / "answers.jsonl"
    config = Sft(epochs=1, batch_size=2, lora=LORA)
    job = run(sft, config, tmp_path / "sft", {"base": inputs["base"], "answers": answers})
    [saved] = [event for event in job.events if isinstance(event, Saved)]
    assert saved.summary["answers"] == sum(one.is_chosen for one in read(answers, GradedAnswer))


def test_preference_optimisation_takes_the_pairs(tmp_path, inputs):
    config = SELECT.model_copy(update={"keeps": "pairs", "longer": 1.01})
    job = run(select, config, tmp_path / "select", inputs)
    everything = [
        GradedAnswer.model_validate_json(line)
        for path in sorted((job.folder / "checkpoint").glob("round-*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    expected = [
        pair for group in by_prompt(everything) for pair in pairs(group, 0.68, longer=1.01)
    ]
    found = job.folder / "pairs.jsonl"
    assert read(found, PreferencePair) == expected
    run(dpo, Dpo(lora=LORA), tmp_path / "dpo", {"base": inputs["base"], "pairs": found})


def test_where_all_answers_were_cut_a_sentence_says_so(tmp_path, inputs):
    config = SELECT.model_copy(update={"cut_answers": "wrong", "sampling": Sampling(max_tokens=1)})
    with pytest.raises(UserError, match="all were cut at max_tokens: raise it"):
        run(select, config, tmp_path / "run", inputs)
