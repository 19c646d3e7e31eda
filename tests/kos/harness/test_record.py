from __future__ import annotations

import json

from kos.events import to_json
from kos.harness.record import rollout_of
from tests.kos.harness import stage
from tests.kos.harness.stage import ASK, Echo, Player, kimi_calls


async def test_a_question_becomes_a_trace_with_all_that_happened():
    player = Player([kimi_calls(("echo", {"query": "a"})), "why</think>Rest [S1]."])
    end = await stage.done(stage.harness(player, Echo(), versions={"code": "abc"}))
    rollout = rollout_of(end, ASK, model="chat", example_id="q1", versions={"artifact": "7"})
    roles = [message["role"] for message in rollout.messages]
    assert roles == ["system", "user", "assistant", "tool"]
    assert json.loads(rollout.messages[2]["tool_calls"])[0]["name"] == "echo"
    assert (rollout.answer, rollout.thinking, rollout.raw) == ("Rest [S1].", "why", end.raw)
    assert (rollout.turns, rollout.tools, rollout.sources) == (end.turns, end.tools, end.sources)
    assert (rollout.versions["code"], rollout.versions["artifact"]) == ("abc", "7")
    assert rollout.score is None


async def test_a_trace_is_plain_json():
    player = Player([kimi_calls(("echo", {"query": "a"})), "</think>Rest [S1]."])
    end = await stage.done(stage.harness(player, Echo()))
    kept = json.loads(json.dumps(to_json(rollout_of(end, ASK, model="chat", example_id="q"))))
    assert kept["tools"][0]["call"]["name"] == "echo"
    assert kept["sources"][0]["provenance"]["mode"] == "embedded"
