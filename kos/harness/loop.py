"""One loop for chat, evaluation, training and serving: sample, call tools, sample again.

``Harness.run`` answers one question of a reader to the end. What happens on the way comes out
as events; nothing is kept between two questions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from kos.chat.dialects import DIALECTS, Dialect
from kos.chat.template import SYSTEM_PROMPT, system_prompt
from kos.harness.calls import Tool
from kos.harness.events import (
    AgentDone,
    AgentStarted,
    AnswerDelta,
    Citation,
    Claim,
    ContextCut,
    Faithfulness,
    Resampled,
    ThinkingDelta,
    ToolDone,
    ToolStarted,
    TurnDone,
    TurnEvent,
    TurnStarted,
)
from kos.harness.observations import CountTokens, approximate_tokens
from kos.harness.options import Limits, Options
from kos.harness.question import Question
from kos.messages import Message, Source
from kos.serving.client import ChatClient
from kos.tools.desk import Desk

DEFAULTS = Options.model_validate({})

__all__ = [
    "AgentDone",
    "AgentStarted",
    "AnswerDelta",
    "Citation",
    "Claim",
    "ContextCut",
    "Faithfulness",
    "Harness",
    "Limits",
    "Options",
    "Resampled",
    "ThinkingDelta",
    "Tool",
    "ToolDone",
    "ToolStarted",
    "TurnDone",
    "TurnEvent",
    "TurnStarted",
    "run_turn",
    "with_system_prompt",
]


@dataclass(frozen=True)
class Harness:
    """A model with its dialect, tools and limits: what answers.

    ``name`` names it in traces; ``versions`` is what else stands behind its answers (artifact,
    code). ``count_tokens`` counts as the model's tokenizer does, or about so. ``judge`` checks
    faithfulness; without one the check is lexical.
    """

    client: ChatClient
    dialect: Dialect
    tools: Sequence[Tool] = ()
    desk: Desk = field(default_factory=Desk)
    limits: Limits = field(default_factory=Limits)
    options: Options = field(default_factory=lambda: DEFAULTS)
    system_prompt: str = SYSTEM_PROMPT
    name: str = ""
    count_tokens: CountTokens = approximate_tokens
    judge: ChatClient | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    async def run(
        self, messages: Sequence[Message], *, earlier: Sequence[Source] = ()
    ) -> AsyncGenerator[TurnEvent, None]:
        """Answer the conversation ``messages``; the last event is ``TurnDone``.

        The system prompt is put in front where there is none. ``earlier`` are the sources of
        the conversation's earlier questions, whose numbers go on. Raises ``UserError`` when the
        model's server fails. Cancelling, or closing the iterator, stops the server's work.
        """
        told = system_prompt(self.system_prompt, has_tools=bool(self.tools))
        asked = with_system_prompt(messages, told)
        question = Question.open(self, asked, earlier=earlier)
        async with aclosing(question.run()) as events:
            async for event in events:
                yield event

    @property
    def described(self) -> dict[str, str]:
        """What stands behind an answer of this harness."""
        options = self.options
        declared = json.dumps([tool.declare() for tool in self.tools], sort_keys=True)
        return {
            "harness": self.name,
            "dialect": self.dialect.kind,
            "tools": ",".join(tool.name for tool in self.tools),
            "tools_digest": _digest(declared) if self.tools else "",
            "tools_as": options.tools_as if self.tools else "",
            "system_prompt": _digest(self.system_prompt),
            "mode": options.mode,
            "context": options.context,
            "thinking": str(options.thinking).lower(),
            **self.versions,
        }


async def run_turn(
    messages: Sequence[Message],
    *,
    client: ChatClient,
    tools: Sequence[Tool] = (),
    limits: Limits | None = None,
    dialect: Dialect | None = None,
) -> AsyncGenerator[TurnEvent, None]:
    """Answer ``messages`` with a harness of nothing but these; see ``Harness.run``.

    Without a ``dialect`` the server's own template and tool parser count.
    """
    harness = Harness(
        client, dialect or DIALECTS["server"](), tools=tools, limits=limits or Limits()
    )
    async with aclosing(harness.run(messages)) as events:
        async for event in events:
            yield event


def with_system_prompt(messages: Sequence[Message], prompt: str = SYSTEM_PROMPT) -> list[Message]:
    """``messages`` behind the system prompt of training, unless they bring their own."""
    if not prompt or any(message.role == "system" for message in messages):
        return [*messages]
    return [Message("system", prompt), *messages]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
