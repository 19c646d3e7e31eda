"""A finished question as a trace: the one way a ``TurnDone`` becomes a ``RolloutDone``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from kos.events import ItemGrade, RolloutDone
from kos.harness.events import TurnDone
from kos.messages import Message


def rollout_of(
    done: TurnDone,
    messages: Sequence[Message],
    *,
    model: str,
    example_id: str,
    sample: int = 0,
    step: int = 0,
    items: Sequence[ItemGrade] = (),
    score: float | None = None,
    reward: float | None = None,
    advantage: float | None = None,
    components: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    error: str = "",
) -> RolloutDone:
    """The trace of ``done``, which answered ``messages``.

    The conversation is kept as the model got it (system prompt, calls and results included);
    ``flags`` and ``versions`` are added to those of the loop.
    """
    said = [*(done.asked or messages), *done.trail]
    return RolloutDone(
        model=model,
        example_id=example_id,
        sample=sample,
        messages=tuple(plain(message) for message in said),
        answer=done.message.content,
        thinking=done.message.thinking,
        raw=done.raw,
        num_tokens=done.num_tokens,
        num_answer_tokens=done.num_answer_tokens,
        stop_reason=done.stop_reason,
        items=tuple(items),
        score=score,
        step=step,
        reward=reward,
        advantage=advantage,
        components=dict(components or {}),
        flags=tuple(dict.fromkeys([*done.flags, *flags])),
        error=error,
        turns=done.turns,
        tools=done.tools,
        sources=done.sources,
        versions={**done.versions, **(versions or {})},
    )


def plain(message: Message) -> dict[str, str]:
    """A message in strings alone: role and content, and what else it has.

    ``tool_calls`` is a JSON list of ``{"id", "name", "arguments"}``.
    """
    calls = [
        {"id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    told = {
        "role": message.role,
        "content": message.content,
        "thinking": message.thinking,
        "tool_calls": json.dumps(calls) if calls else "",
        "tool_call_id": message.tool_call_id,
    }
    return {name: text for name, text in told.items() if text or name in ("role", "content")}
