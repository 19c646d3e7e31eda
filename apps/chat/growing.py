"""An answer as it grows: the harness's events summed up to what a page shows."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from apps.chat.services import Draft
from kos.harness.events import (
    AnswerDelta,
    Resampled,
    ThinkingDelta,
    ToolDone,
    ToolStarted,
    TurnDone,
    TurnEvent,
    TurnStarted,
)


class Mark(NamedTuple):
    """Where a turn began."""

    content: str = ""
    thinking: str = ""


@dataclass(eq=False)
class Answer:
    """One answer as it grows. What sub-agents say shows in the calls that set them to work.

    ``num_changes`` counts what happened to tools and sources, which are large to keep.
    """

    pk: int
    content: str = ""
    thinking: str = ""
    num_tokens: int = 0
    turn: int = 1
    epoch: int = 0
    num_changes: int = 0
    tools: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    is_stop_requested: bool = False
    task: asyncio.Task[None] | None = None
    done: TurnDone | None = None
    started: float = field(default_factory=time.perf_counter)
    _mark: Mark = field(default_factory=Mark)

    def take(self, event: TurnEvent) -> None:
        match event:
            case TurnStarted(turn=turn, agent=""):
                self.turn, self._mark = turn, Mark(self.content, self.thinking)
            case AnswerDelta(text=text, agent=""):
                self.content += text
                self.num_tokens += 1
            case ThinkingDelta(text=text, agent=""):
                self.thinking += text
                self.num_tokens += 1
            case Resampled(agent=""):
                self.content, self.thinking = self._mark
                self.epoch += 1
            case ToolStarted():
                self._begin(event)
            case ToolDone():
                self._end(event)
            case TurnDone():
                self._close(event)

    @property
    def draft(self) -> Draft:
        seconds = self.done.seconds if self.done else time.perf_counter() - self.started
        return Draft(
            *(self.content, self.thinking, self.num_tokens, seconds),
            tools=[*self.tools],
            sources=[*self.sources],
            epoch=self.epoch,
        )

    def stop(self) -> None:
        self.is_stop_requested = True
        if self.task is not None:
            self.task.cancel()

    def _begin(self, event: ToolStarted) -> None:
        # What was said before a call is no part of the answer: it stands with the thinking.
        if self.content.strip() and not event.agent:
            self.thinking = f"{self.thinking.rstrip()}\n\n{self.content.strip()}\n\n".lstrip()
            self.content = ""
            self.epoch += 1
        self.tools.append(
            {
                "call": asdict(event.call),
                "turn": self.turn,
                "agent": event.agent,
                "started": time.perf_counter() - self.started,
                "is_running": True,
            }
        )
        self.num_changes += 1

    def _end(self, event: ToolDone) -> None:
        for tool in self.tools:
            is_it = tool["call"]["id"] == event.call.id and tool["agent"] == event.agent
            if is_it and tool["is_running"]:
                tool |= {
                    "is_running": False,
                    "observation": event.observation,
                    "notice": event.notice,
                    "mode": event.mode,
                    "is_error": event.is_error,
                    "seconds": event.seconds,
                    "sources": [source.id for source in event.sources],
                }
                break
        known = {source["id"] for source in self.sources}
        self.sources += [asdict(one) for one in event.sources if one.id not in known]
        self.num_changes += 1

    def _close(self, done: TurnDone) -> None:
        self.content, self.thinking = _answer(done), self._all_thinking(done)
        self.num_tokens, self.done = done.num_tokens, done
        # The loop's own records are whole; an older call may have been cut in ours.
        self.tools = [asdict(record) for record in done.tools] or self.tools
        self.sources = [asdict(source) for source in done.sources] or self.sources
        self.num_changes += 1

    def _all_thinking(self, done: TurnDone) -> str:
        """What was thought, and said before calls, in all turns; at least the last turn's."""
        return self.thinking.strip() if self.tools else done.message.thinking


def _answer(done: TurnDone) -> str:
    """The answer; one that cites what nobody found as it was given, so that pages can mark it."""
    own = [turn for turn in done.turns if not turn.agent]
    if "unknown_citation" in done.flags and own:
        return own[-1].answer
    return done.message.content
