"""What the loop says while it answers; ``TurnDone`` is always the last.

``agent`` is empty for the one who answers the reader, else the sub-agent's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kos.messages import Message, Source, ToolCall, ToolRecord, TurnRecord


@dataclass(frozen=True)
class TurnStarted:
    """The model is asked. ``turn`` counts from 1."""

    turn: int
    agent: str = ""


@dataclass(frozen=True)
class ThinkingDelta:
    """Some characters of the thinking."""

    text: str
    agent: str = ""


@dataclass(frozen=True)
class AnswerDelta:
    """Some characters of the answer."""

    text: str
    agent: str = ""


@dataclass(frozen=True)
class Resampled:
    """The turn was malformed and is drawn again: what came since ``TurnStarted`` is void."""

    turn: int
    flags: tuple[str, ...]
    agent: str = ""


@dataclass(frozen=True)
class ContextCut:
    """The prompt had grown too long and was shortened, from so many tokens to so many."""

    strategy: str
    num_tokens_before: int
    num_tokens_after: int
    agent: str = ""


@dataclass(frozen=True)
class ToolStarted:
    """A call has begun."""

    call: ToolCall
    agent: str = ""


@dataclass(frozen=True)
class ToolDone:
    """A call is over; ``observation`` is what the model reads next.

    They come as the calls end; the model reads them in the order it asked. ``notice`` says
    where the result is from and ``mode`` the sort of that source.
    """

    call: ToolCall
    observation: str
    is_error: bool
    seconds: float
    notice: str = ""
    mode: str = ""
    sources: tuple[Source, ...] = ()
    agent: str = ""


@dataclass(frozen=True)
class AgentStarted:
    """A sub-agent took up a task."""

    agent: str
    prompt: str


@dataclass(frozen=True)
class AgentDone:
    """A sub-agent is through; ``text`` is its result, or why there is none."""

    agent: str
    text: str
    is_error: bool
    num_turns: int
    num_calls: int
    seconds: float


class Citation(NamedTuple):
    """A source that the answer cites: footnote ``number`` (1, 2, ...), cited ``num_uses``
    times. ``provenance`` has the fields of ``kos.tools.base.Provenance``.
    """

    number: int
    id: str
    title: str
    url: str
    provenance: Mapping[str, str]
    num_uses: int


class Claim(NamedTuple):
    """A sentence of the answer with what it cites. ``is_supported`` None: no verdict."""

    text: str
    ids: tuple[str, ...]
    is_supported: bool | None
    reason: str


@dataclass(frozen=True)
class Faithfulness:
    """Whether the cited sources say what the answer says.

    ``method`` is "judge:NAME", or "screening" for the lexical check, which is no verdict.
    """

    method: str
    claims: tuple[Claim, ...]

    @property
    def share_supported(self) -> float | None:
        """Supported claims among those with a verdict; None where there is none."""
        verdicts = [claim.is_supported for claim in self.claims if claim.is_supported is not None]
        return sum(verdicts) / len(verdicts) if verdicts else None


@dataclass(frozen=True)
class TurnDone:
    """The question is answered.

    ``message`` is the last turn, ``trail`` what was said before it (calls and observations),
    ``raw`` the last turn as generated. ``num_tokens`` counts all generations, those of
    sub-agents included, ``num_answer_tokens`` the visible answer. ``stop_reason`` is the
    server's, or "time", "turns" or "repetition" when the loop ended it. ``asked`` is the
    conversation as the model got it, system prompt included; ``turns`` and ``tools`` are all
    generations and calls in the order they began.
    """

    message: Message
    trail: tuple[Message, ...]
    raw: str
    stop_reason: str
    flags: tuple[str, ...]
    num_tokens: int
    num_answer_tokens: int
    seconds: float
    turns: tuple[TurnRecord, ...] = ()
    tools: tuple[ToolRecord, ...] = ()
    sources: tuple[Source, ...] = ()
    citations: tuple[Citation, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    asked: tuple[Message, ...] = ()
    faithfulness: Faithfulness | None = None
    num_prompt_tokens: int = 0


TurnEvent = (
    TurnStarted
    | ThinkingDelta
    | AnswerDelta
    | Resampled
    | ContextCut
    | ToolStarted
    | ToolDone
    | AgentStarted
    | AgentDone
    | TurnDone
)
