from __future__ import annotations

import pytest

from kos.errors import UserError
from kos.harness.loop import ContextCut
from kos.messages import Message, ToolCall
from tests.kos.harness import stage
from tests.kos.harness.stage import Echo, Player, kimi_calls

# About 8,000 tokens of notes each, as in chart review tasks.
PAGES = Echo("chart", times=6_000)
LIMITS = {"max_context": 32_000, "max_tokens": 1_000, "max_turns": 12}
WIDE = {"observation_tokens": 8_000, "run_observation_tokens": 200_000}


def reader(num_pages: int):
    """Reads page after page, then answers; sums up when it is told to."""
    seen = 0

    def play(prompt: str, number: int) -> str:
        nonlocal seen
        if "Sum up for yourself" in prompt:
            return "</think>Page 1 says gout [S1]."
        seen += 1
        if seen > num_pages:
            return "</think>Done [S1]."
        start = prompt.count("<|tool_call_begin|>")
        return kimi_calls(("chart", {"query": f"page{seen}"}), start=start)

    return play


async def read(strategy: str, num_pages: int = 9):
    player = Player(reader(num_pages), piece=40)
    of = stage.harness(player, PAGES, limits=LIMITS, options={**WIDE, "context": strategy})
    return player, await stage.events(of)


@pytest.mark.parametrize("strategy", ["keep_last_round", "discard_all", "summary"])
async def test_however_much_is_read_the_prompt_stays_below_the_context(strategy):
    player, found = await read(strategy)
    assert max(len(prompt) for prompt in player.prompts) / 4 <= 0.85 * 32_000
    cuts = [event for event in found if isinstance(event, ContextCut)]
    assert cuts
    assert all(cut.num_tokens_after < cut.num_tokens_before for cut in cuts)
    assert len(found[-1].tools) == 9
    assert f"context_{strategy}" in found[-1].flags
    assert found[-1].message.content == "Done [S1]."


async def test_without_need_history_is_left_alone():
    player, found = await read("keep_last_round", num_pages=2)
    assert not [event for event in found if isinstance(event, ContextCut)]
    assert player.prompts[2].startswith(player.prompts[1].removesuffix("<think>"))


async def test_the_last_round_stays_when_older_results_are_hidden():
    player, _ = await read("keep_last_round")
    last = player.prompts[-1]
    assert "[result hidden]" in last
    assert "page9 page9" in last
    assert "page1 page1" not in last
    assert last.count("<think>look</think>") == 9


async def test_starting_again_leaves_notes_of_what_was_looked_up():
    player, _ = await read("discard_all")
    fresh = next(prompt for prompt in player.prompts if "Looked up so far" in prompt)
    assert '- chart({"query": "page1"}): S1 page1' in fresh
    assert "page1 page1" not in fresh
    assert "<|im_user|>user<|im_middle|>Gout?" in fresh


async def test_the_model_s_own_summary_takes_the_place_of_results():
    player, found = await read("summary")
    assert "Your summary:\nPage 1 says gout [S1]." in player.prompts[-1]
    kept = [turn for turn in found[-1].turns if "context_summary" in turn.flags]
    assert kept[0].answer == "Page 1 says gout [S1]."


async def test_what_was_dropped_stays_in_the_trace():
    _, found = await read("discard_all")
    assert len(found[-1].trail) == 18
    assert all(tool.observation.startswith("source: table") for tool in found[-1].tools)


async def test_one_round_that_is_too_long_by_itself_is_cut():
    turns = [kimi_calls(*[("chart", {"query": f"p{n}"}) for n in range(5)]), "</think>Done."]
    player = Player(turns, piece=40)
    await stage.done(stage.harness(player, PAGES, limits=LIMITS, options=WIDE))
    assert len(player.prompts[1]) / 4 <= 0.85 * 32_000
    assert all(f"p{n} p{n}" in player.prompts[1] for n in range(5))


async def test_a_question_that_does_not_fit_is_refused_with_what_would_do():
    long = [Message("user", "word " * 40_000)]
    with pytest.raises(UserError, match=r"takes about 5.* tokens and this model reads 32,000"):
        await stage.done(stage.harness(Player([]), limits=LIMITS), long)


async def test_a_server_that_counts_more_tokens_is_believed():
    class Dense(Player):
        async def stream_raw(self, prompt, **options):
            async for delta in super().stream_raw(prompt, **options):
                if delta.num_prompt_tokens:
                    delta = type(delta)(
                        finish_reason="stop", num_prompt_tokens=delta.num_prompt_tokens * 2
                    )
                yield delta

    player = Dense(reader(9), piece=40)
    await stage.done(stage.harness(player, PAGES, limits=LIMITS, options=WIDE))
    assert max(len(prompt) for prompt in player.prompts[1:]) / 2 <= 0.85 * 32_000


async def test_foreign_ids_of_earlier_calls_become_kimi_s():
    history = [
        Message("user", "Gout?"),
        Message("assistant", "", tool_calls=(ToolCall("call_x", "echo", '{"query": "a"}'),)),
        Message("tool", "a", tool_call_id="call_x"),
        Message("assistant", "Yes."),
        Message("user", "And?"),
    ]
    player = Player([kimi_calls(("echo", {"query": "b"}), start=1), "</think>Done."])
    end = await stage.done(stage.harness(player, Echo()), history)
    assert "## Return of functions.echo:0\na" in player.prompts[0]
    assert (end.tools[0].call.id, end.flags) == ("functions.echo:1", ())
