from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from kos.config import Sampling, Train
from kos.config.training import Tools
from kos.data.prompts import conversation
from kos.engine.base import Sampled, SamplingParams
from kos.engine.models import Chat
from kos.events import LocalJob
from kos.rl.trajectories import Play, Theatre, places_with_tools
from tests.kos.engine.tiny import make_tasks

CALL = '<tool_call>\n{"name": "search_icd", "arguments": {"query": "asthma"}}\n</tool_call>'
ANSWER = "Keep warm."
CONFIG = Train(
    tools=Tools(names=("search_icd",), max_turns=3, max_context=4000),
    sampling=Sampling(max_tokens=64),
)


@dataclass
class Scripted:
    """Calls a tool at first, answers once it has read a result."""

    chat: Chat
    version: int = 7
    rounds: list[int] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)

    def sample(self, prompts, params, *, num_samples=1, on_progress=None):
        self.rounds.append(len(prompts))
        self.prompts += [self.chat.text_of(prompt) for prompt in prompts]
        return [[self._say(prompt)] for prompt in self.prompts[-len(prompts) :]]

    def _say(self, prompt):
        text = ANSWER if "<tool_response>" in prompt.rpartition("<|im_start|>user")[2] else CALL
        tokens = tuple(self.chat.encode_answer(text))
        return Sampled(tokens, tuple(-0.001 * t for t in tokens), "stop")


@pytest.fixture(scope="module")
def chat(policy):
    return Chat.load(policy)


def play(chat, tmp_path, config=CONFIG, num_samples=2):
    scripted = Scripted(chat)
    with asyncio.Runner() as runner:
        theatre = Theatre.open(config, scripted, runner, LocalJob(tmp_path))
        params = SamplingParams(64, seed=5)
        plays = [Play(task, params) for task in make_tasks(2)]
        return scripted, theatre.play(plays, num_samples=num_samples)


def test_a_trajectory_calls_reads_and_answers(chat, tmp_path):
    _, played = play(chat, tmp_path)
    rollout = played.rollouts[0][0]
    assert rollout.answer == ANSWER
    assert [call.name for turn in rollout.turns for call in turn.calls] == ["search_icd"]
    assert [record.call.name for record in rollout.tools] == ["search_icd"]
    assert "search_icd" in rollout.messages[2]["tool_calls"]
    assert {segment.version for segment in rollout.segments} == {7}


def test_tokens_that_were_drawn_are_learnt_and_what_tools_brought_is_not(chat, tmp_path):
    _, played = play(chat, tmp_path)
    [datum] = played.rollouts[0][0].data(())
    said = [chat.encode_answer(CALL), chat.encode_answer(ANSWER)]
    learnt = [t for t, m in zip(datum.targets, datum.mask, strict=True) if m]
    assert learnt == [*said[0], *said[1]]
    assert [q for q, m in zip(datum.logprobs, datum.mask, strict=True) if m] == [
        -0.001 * token for token in learnt
    ]
    assert "<tool_response>" in chat.text_of(datum.tokens)
    assert datum.mask.index(1) > 0


def test_the_next_prompt_goes_on_from_the_very_tokens_that_were_drawn(chat, tmp_path):
    scripted, played = play(chat, tmp_path, num_samples=1)
    first, second = played.rollouts[0][0].segments
    assert (first.is_new, second.is_new) == (True, False)
    assert first.read + first.tokens + second.read == tuple(chat.tokenize(scripted.prompts[2]))


def test_generations_of_all_conversations_are_drawn_together(chat, tmp_path):
    scripted, played = play(chat, tmp_path)
    assert scripted.rounds == [4, 4]
    assert played.num_read == sum(len(chat.tokenize(prompt)) for prompt in scripted.prompts)


def test_a_question_that_does_not_fit_is_left_out_and_not_scored(chat, tmp_path):
    tools = CONFIG.tools.model_copy(update={"max_context": 64})
    _, played = play(chat, tmp_path, CONFIG.model_copy(update={"tools": tools}))
    failed = played.rollouts[0][0]
    assert failed.score is None
    assert failed.reward is None
    assert "Shorten it" in failed.error


def test_prompts_without_tools_declare_none(chat):
    for task in make_tasks():
        prompt = chat.text_of(chat.encode(conversation(task, CONFIG.system_prompt)))
        for mark in ("search_icd", "<tools>", "tool_declare", "namespace functions"):
            assert mark not in prompt


def test_prompts_with_tools_declare_them(chat, tmp_path):
    scripted, _ = play(chat, tmp_path)
    assert all("search_icd" in prompt for prompt in scripted.prompts)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.34, 0.5, 1.0])
def test_the_share_with_tools_is_kept_in_every_iteration_within_one(share):
    tasks = make_tasks(10)
    counts = [len(places_with_tools(tasks, share, step=step)) for step in range(1, 21)]
    assert all(abs(count - 10 * share) <= 1 for count in counts)
    assert abs(sum(counts) - 200 * share) < 1


def test_every_place_has_tools_at_times():
    tasks = make_tasks(5)
    seen = [places_with_tools(tasks, 0.4, step=step) for step in range(1, 6)]
    assert set().union(*seen) == {0, 1, 2, 3, 4}
