"""Traces as pages show them: score arithmetic, groups of a step, tool calls, turns, tokens."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from apps.traces.models import Grade, Trace

# Arguments that say what was looked for, likeliest first.
ASKED = ("query", "url", "term", "drug", "name", "symptoms", "prompt")
MAX_TOKENS = 2000
# From this probability on a token looks ordinary; each lower bound is one more step of tint.
TINTS = (0.9, 0.5, 0.2, 0.05)


class Arithmetic(NamedTuple):
    """A score written out: what was earned over what there was."""

    earned: list[Grade]
    sum_earned: float
    possible: float
    num_ungraded: int

    @property
    def share(self) -> float | None:
        return self.sum_earned / self.possible if self.possible else None


class Group(NamedTuple):
    """The answers to one prompt in one step, with the group's mean reward."""

    example_id: str
    model: str
    traces: list[Trace]
    mean: float | None


class Call(NamedTuple):
    """A tool call as a card shows it. ``seconds`` is None while it runs."""

    place: int
    name: str
    query: str
    arguments: str
    mode: str = ""
    notice: str = ""
    observation: str = ""
    is_error: bool = False
    is_running: bool = False
    seconds: float | None = None
    turn: int = 0
    agent: str = ""
    sources: tuple[str, ...] = ()
    key: str = ""


class Token(NamedTuple):
    """A sampled token; ``tint`` is 0 for a likely one, up to 4 for a very unlikely one."""

    text: str
    id: int | None
    logprob: float
    probability: float
    tint: int


class Turn(NamedTuple):
    """One generation with the calls it made."""

    record: Mapping[str, Any]
    calls: list[Call]
    tokens: list[Token]
    num_hidden_tokens: int


def arithmetic(grades: Iterable[Grade]) -> Arithmetic:
    """How the score of these grades comes about (kos.grading.score)."""
    found = [*grades]
    earned = [grade for grade in found if grade.met]
    return Arithmetic(
        earned=earned,
        sum_earned=sum(grade.points for grade in earned),
        possible=sum(grade.points for grade in found if grade.points > 0),
        num_ungraded=sum(grade.met is None for grade in found),
    )


def groups(traces: Sequence[Trace]) -> list[Group]:
    """Answers side by side, a group a prompt and model, in the order of the traces."""
    places: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        places.setdefault((trace.example_id, trace.model), []).append(trace)
    return [
        Group(example_id, model, members, _mean(members))
        for (example_id, model), members in places.items()
    ]


def calls(records: Iterable[Mapping[str, Any]]) -> list[Call]:
    """Tool records (``kos.messages.ToolRecord`` as JSON) as cards, in their order."""
    return [call(place, record) for place, record in enumerate(records)]


def call(place: int, record: Mapping[str, Any]) -> Call:
    """One tool record as a card; a running call lacks all but ``call``."""
    asked = record["call"]
    arguments = _parsed(asked["arguments"])
    return Call(
        place=place,
        name=asked["name"],
        query=_query(arguments),
        arguments=_pretty(arguments),
        mode=record.get("mode", ""),
        notice=record.get("notice", ""),
        observation=record.get("observation", ""),
        is_error=record.get("is_error", False),
        is_running=record.get("is_running", False),
        seconds=record.get("seconds"),
        turn=record.get("turn", 0),
        agent=record.get("agent", ""),
        sources=tuple(record.get("sources", ())),
        key=f"{asked['name']} {json.dumps(arguments, sort_keys=True, ensure_ascii=False)}",
    )


def turns(trace: Trace) -> list[Turn]:
    """The trace's generations, each with its calls and, where known, its tokens."""
    cards = calls(trace.tools)
    return [
        Turn(
            record,
            [card for card in cards if (card.turn, card.agent) == _place(record)],
            tokens(record)[:MAX_TOKENS],
            max(0, len(record.get("logprobs", ())) - MAX_TOKENS),
        )
        for record in trace.turns
    ]


def tokens(turn: Mapping[str, Any]) -> list[Token]:
    """A turn's tokens with their log-probabilities; empty where the server told none."""
    ids, texts = turn.get("token_ids", ()), turn.get("tokens", ())
    return [
        Token(
            text=texts[place] if place < len(texts) else f"#{ids[place] if ids else place} ",
            id=ids[place] if place < len(ids) else None,
            logprob=logprob,
            probability=(probability := math.exp(min(logprob, 0.0))),
            tint=sum(probability < bound for bound in TINTS),
        )
        for place, logprob in enumerate(turn.get("logprobs", ()))
        if logprob is not None
    ]


def prompt(trace: Trace) -> list[Mapping[str, Any]]:
    """What the model was asked, without the calls and results that its turns tell anyway."""
    messages = list(trace.messages)
    if not trace.turns:
        return messages
    asked = [place for place, message in enumerate(messages) if message.get("role") == "user"]
    return messages[: asked[-1] + 1] if asked else messages


def _mean(traces: Sequence[Trace]) -> float | None:
    values = [trace.reward if trace.reward is not None else trace.score for trace in traces]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _place(turn: Mapping[str, Any]) -> tuple[int, str]:
    return turn["turn"], turn.get("agent", "")


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _pretty(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, indent=2, ensure_ascii=False)


def _query(arguments: Any) -> str:
    """What was looked for, in one line."""
    if not isinstance(arguments, dict):
        return str(arguments)
    wanted = [arguments[name] for name in ASKED if arguments.get(name)]
    found = wanted or [value for value in arguments.values() if isinstance(value, str)]
    return " ".join(str(found[0]).split()) if found else ""
