"""How often training's side effects occur: each as k of n with a Wilson interval, from raw text.

The unit is the answer (one question through the loop) unless a row says turns or calls. Flags
are the parser's and the loop's own words (``kos.chat.parse``, ``kos.harness``); what a server's
tool parser hides is not seen, so rates of two servers compare only if both were asked raw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kos.evals.detectors import abbreviations, loops, style
from kos.evals.statistics import wilson
from kos.events import RolloutDone
from kos.messages import ToolRecord, TurnRecord

LEAKS = frozenset(
    {"stray_think_close", "reopened_think", "control_token_in_content", "think_leak"}
)
OPEN_CALLS = frozenset({"unclosed_call", "unclosed_section"})
MALFORMED = frozenset(
    {"bad_json", "args_not_object", "schema_invalid", "unknown_function", "name_unknown"}
)
LOOPS = frozenset({"repetition", "repetition_stop"})
# What keeps a call, or the end of the thinking, from being read.
FORMAT_FAULTS = OPEN_CALLS | MALFORMED
ODD_IDS = frozenset({"id_no_prefix", "id_no_index", "name_inferred", "duplicate_id"})
CALL_MARKERS = ("<|tool_call_begin|>", "<|tool_calls_section_begin|>", "<tool_call>")
# The flags of an answer's trace that stand behind a rate; the other rates look at more.
SEEN_IN: Mapping[str, frozenset[str]] = {
    "think_leak": LEAKS | {"unclosed_think"},
    "unclosed_think": frozenset({"unclosed_think"}),
    "unclosed_call": OPEN_CALLS,
    "malformed_call": MALFORMED,
    "repetition": LOOPS,
    "truncated": frozenset({"truncated", "hit_length"}),
    "empty": frozenset({"empty"}),
    "no_final": frozenset({"no_final"}),
    "unknown_citation": frozenset({"unknown_citation", "unsupported_url"}),
}
# From the first number up to, not including, the second.
TURN_BANDS = ((1, 2), (2, 4), (4, 8), (8, None))
CONTEXT_BANDS = ((0, 4_000), (4_000, 16_000), (16_000, 32_000), (32_000, None))
INVENTED_SHOWN = 20

Unit = Literal["answers", "turns", "turns with a call", "calls"]


@dataclass(frozen=True)
class Said:
    """One answer as the detectors read it. ``given`` is all that the model had read."""

    question: str
    given: str
    answer: str
    stop_reason: str
    flags: frozenset[str]
    turns: tuple[TurnRecord, ...]
    tools: tuple[ToolRecord, ...]

    @classmethod
    def of(cls, rollout: RolloutDone) -> Said:
        """From an event, or from anything with its fields."""
        texts = [message.get("content", "") for message in rollout.messages]
        asked = [m.get("content", "") for m in rollout.messages if m.get("role") == "user"]
        return cls(
            question=asked[-1] if asked else "",
            given="\n".join([*texts, *(record.observation for record in rollout.tools)]),
            answer=rollout.answer,
            stop_reason=rollout.stop_reason,
            flags=frozenset(rollout.flags),
            turns=rollout.turns,
            tools=rollout.tools,
        )

    @property
    def all_flags(self) -> frozenset[str]:
        """Those of the answer and of every turn before it."""
        return self.flags.union(*(turn.flags for turn in self.turns))

    @property
    def num_turns(self) -> int:
        """Generations of the main agent."""
        return max(1, sum(not turn.agent for turn in self.turns))

    @property
    def context(self) -> int:
        """Tokens of the longest prompt on the way; 0 where the server told none."""
        return max((turn.num_prompt_tokens for turn in self.turns), default=0)


@dataclass(frozen=True)
class Rate:
    """``hits`` of ``n`` with the 95 % Wilson interval [``low``, ``high``]."""

    name: str
    label: str
    unit: Unit
    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The rate; None where nothing was counted."""
        return self.hits / self.n if self.n else None


# Of an answer: name, label, what it looks at.
ANSWERS: Sequence[tuple[str, str, Callable[[Said], bool]]] = (
    ("think_leak", "Thinking leaked into the answer", lambda said: leaks(said)),
    ("unclosed_think", "Thinking never closed", lambda said: "unclosed_think" in said.all_flags),
    ("unclosed_call", "A tool call left open", lambda said: bool(OPEN_CALLS & said.all_flags)),
    ("malformed_call", "A call that does not fit its schema", lambda said: bool(MALFORMED & said.all_flags)),
    ("format_failure", "Any fault of form: leak, open or unfit call, no end", lambda said: fails_in_form(said)),
    ("repetition", "Goes round in circles", lambda said: bool(LOOPS & said.all_flags)),
    ("action_loop", "The same call again and again", lambda said: loops.is_action_loop(said.tools)),
    ("truncated", "Cut at its longest length", lambda said: bool({"truncated", "hit_length"} & said.flags)),
    ("empty", "No answer", lambda said: not said.answer.strip()),
    ("no_final", "Calls without a final answer", lambda said: "no_final" in said.flags),
    ("refusal", "Refuses and offers nothing", lambda said: style.refuses(said.answer)),
    ("language_switch", "Another language than the question", lambda said: style.switches_language(said.question, said.answer)),
    ("tool_error", "A tool call failed", lambda said: any(record.is_error for record in said.tools)),
    ("unknown_citation", "Cites what was not retrieved", lambda said: bool({"unknown_citation", "unsupported_url"} & said.flags)),
)  # fmt: skip


def leaks(said: Said) -> bool:
    """Whether thinking or a control token stands in the final answer."""
    last = frozenset(said.turns[-1].flags) if said.turns else frozenset()
    found = said.flags | last
    return bool(LEAKS & found) or ("unclosed_think" in found and bool(said.answer.strip()))


def fails_in_form(said: Said) -> bool:
    """Whether the answer leaks, leaves or misshapes a call, or ends in calls."""
    return leaks(said) or bool(FORMAT_FAULTS & said.all_flags) or "no_final" in said.flags


def rates(answers: Sequence[Said]) -> list[Rate]:
    """Every rate over ``answers``; one with no case is listed at zero, not left out."""
    turns = [turn for said in answers for turn in said.turns]
    calling = [turn for turn in turns if _has_call(turn)]
    calls = [record for said in answers for record in said.tools]
    found = [
        _rate(name, label, "answers", (test(said) for said in answers))
        for name, label, test in ANSWERS
    ]
    return [
        *found,
        _rate("stray_close", "Turns with a stray closing tag", "turns", ("stray_think_close" in turn.flags for turn in turns)),
        _rate("odd_id", "Turns with an odd call id", "turns with a call", (bool(ODD_IDS & {*turn.flags}) for turn in calling)),
        _rate("open_call_turns", "Turns with a call left open", "turns with a call", (bool(OPEN_CALLS & {*turn.flags}) for turn in calling)),
        _rate("schema_valid", "Turns whose calls all parse and fit", "turns with a call", (_is_sound(turn) for turn in calling)),
        _rate("call_errors", "Calls that failed", "calls", (record.is_error for record in calls)),
    ]  # fmt: skip


def banded(answers: Sequence[Said], name: str) -> dict[str, list[Mapping[str, Any]]]:
    """One of ``ANSWERS`` by number of turns and by context length, where those are known."""
    test = next(test for known, _, test in ANSWERS if known == name)
    return {
        "turns": _bands(answers, TURN_BANDS, lambda said: said.num_turns, test),
        "context": _bands(
            [said for said in answers if said.context],
            CONTEXT_BANDS,
            lambda said: said.context,
            test,
        ),
    }


@dataclass(frozen=True)
class Style:
    """Means over answers; abbreviations in 1,000 words, over all words together."""

    words: float
    abbreviations: float
    abbreviations_with_shorthand: float
    invented: float
    most_invented: tuple[tuple[str, int], ...]
    emojis: float
    tables: float
    headings: float
    bullet_depth: float


def style_of(answers: Sequence[Said]) -> Style | None:
    """How the answers look; None without any text."""
    told = [said for said in answers if said.answer.strip()]
    if not told:
        return None
    counts = [abbreviations.count(said.answer, said.given) for said in told]
    looks = [style.look(said.answer) for said in told]
    words = sum(one.words for one in counts) or 1
    invented = Counter(word for one in counts for word in one.invented)
    return Style(
        words=words / len(told),
        abbreviations=1000 * sum(one.strict for one in counts) / words,
        abbreviations_with_shorthand=1000 * sum(one.loose for one in counts) / words,
        invented=1000 * invented.total() / words,
        most_invented=tuple(invented.most_common(INVENTED_SHOWN)),
        emojis=sum(one.emojis for one in looks) / len(told),
        tables=sum(one.tables for one in looks) / len(told),
        headings=sum(one.headings for one in looks) / len(told),
        bullet_depth=sum(one.bullet_depth for one in looks) / len(told),
    )


@dataclass(frozen=True)
class CallF1:
    """Whether tools are called when a reference run calls them (Kimi vendor verifier, K2VV)."""

    both: int
    only_candidate: int
    only_reference: int
    neither: int

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None where neither run calls anything."""
        wrong = self.only_candidate + self.only_reference
        return 2 * self.both / (2 * self.both + wrong) if self.both or wrong else None


def call_f1(
    candidate: Mapping[tuple[str, int], Said], reference: Mapping[tuple[str, int], Said]
) -> CallF1:
    """Over the answers (prompt, sample) that both runs have."""
    pairs = [(candidate[key], reference[key]) for key in candidate.keys() & reference.keys()]
    counts = Counter((bool(ours.tools), bool(theirs.tools)) for ours, theirs in pairs)
    return CallF1(
        counts[True, True], counts[True, False], counts[False, True], counts[False, False]
    )


def _has_call(turn: TurnRecord) -> bool:
    return bool(turn.calls) or any(marker in turn.raw for marker in CALL_MARKERS)


def _is_sound(turn: TurnRecord) -> bool:
    return bool(turn.calls) and not (MALFORMED | OPEN_CALLS) & {*turn.flags}


def _rate(name: str, label: str, unit: Unit, tests: Iterable[bool]) -> Rate:
    outcomes = [*tests]
    low, high = wilson(sum(outcomes), len(outcomes))
    return Rate(name, label, unit, sum(outcomes), len(outcomes), low, high)


def _bands(
    answers: Sequence[Said],
    bands: Sequence[tuple[int, int | None]],
    size: Callable[[Said], int],
    test: Callable[[Said], bool],
) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for start, end in bands:
        inside = [
            one for one in answers if start <= size(one) and (end is None or size(one) < end)
        ]
        hits = sum(test(said) for said in inside)
        low, high = wilson(hits, len(inside))
        rows.append(
            {"from": start, "to": end, "hits": hits, "n": len(inside), "low": low, "high": high}
        )
    return rows
