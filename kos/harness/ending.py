"""The end of a question: the answer checked, everything that happened put together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kos.evals import detectors
from kos.harness import citations, faithfulness
from kos.harness.events import Citation, TurnDone
from kos.messages import Message

if TYPE_CHECKING:
    from kos.harness.question import Question


async def finish(question: Question) -> TurnDone:
    """What the caller gets: the last turn as the answer, with flags, citations and records."""
    generation, swarm = question.generation, question.swarm
    for flag in _final_flags(question):
        question.flag(flag)
    message, cited = _checked(question)
    verdict = None
    if question.harness.options.faithfulness and cited:
        verdict = await faithfulness.check(
            message.content, question.bench.book.seen, judge=question.harness.judge
        )
    turns = [*question.turns, *(swarm.turns if swarm else ())]
    tools = [*question.bench.records, *(swarm.records if swarm else ())]
    is_out_of_turns = bool(generation.asked) and not generation.is_cut
    return TurnDone(
        message=message,
        trail=tuple(question.context.trail),
        raw=generation.raw,
        stop_reason="turns" if is_out_of_turns else generation.stop_reason,
        flags=tuple(question.flags),
        num_tokens=sum(turn.num_tokens for turn in turns),
        num_answer_tokens=generation.num_answer_tokens,
        seconds=question.seconds,
        turns=tuple(sorted(turns, key=lambda turn: turn.started)),
        tools=tuple(sorted(tools, key=lambda tool: tool.started)),
        sources=question.bench.book.every,
        citations=cited,
        versions=question.harness.described,
        asked=tuple(question.context.asked),
        faithfulness=verdict,
        num_prompt_tokens=sum(turn.num_prompt_tokens for turn in turns),
    )


def _checked(question: Question) -> tuple[Message, tuple[Citation, ...]]:
    """The answer without citations of what nobody found, and what it cites."""
    message = question.generation.message
    if not question.harness.options.citations:
        return message, ()
    bench = question.bench
    found = citations.check(message.content, bench.book, bench.desk.known_urls)
    for flag in found.flags:
        question.flag(flag)
    return replace(message, content=found.answer), found.citations


def _final_flags(question: Question) -> list[str]:
    """What the detectors see in the last turn, what the parser saw, what the loop knows."""
    generation = question.generation
    starts = question.writer.dialect.starts_thinking and question.harness.options.thinking
    found = [
        *detectors.flags(
            generation.raw,
            generation.message.content,
            generation.stop_reason,
            starts_thinking=starts,
        ),
        *generation.flags,
        *sorted(question.bench.flags),
    ]
    if generation.asked and not generation.is_cut:
        found.append("no_final")
    return found
