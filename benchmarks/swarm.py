"""The single agent against the swarm on the twenty wide questions.

``python benchmarks/swarm.py`` plays a scripted model with scripted tools: it measures the loop
itself, under delays that are known. ``--url URL --model NAME --dialect kimi`` asks a real one,
with the tools of this installation off line.

The scripted model looks each part of a question up in two steps, one after the other, and says
nothing that it did not look up. It decodes at a fixed rate, slower with every stream at work;
time runs twenty times faster than in life. Alone it makes one call a turn (once with twice the
usual limits, for twelve turns end before it is through), or eight; as a swarm it hands the parts
to four sub-agents.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import platform
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kos.chat.dialects import DIALECTS
from kos.harness import compare
from kos.harness.compare import Attempt, Question
from kos.harness.loop import Harness, Limits, Options
from kos.harness.swarm import AGENT_PROMPT
from kos.serving.client import Delta, HttpClient
from kos.tools.base import Found, Provenance, Record
from kos.tools.desk import Desk

RESULT = Path(__file__).parent / "results" / "swarm.md"
SPEED = 20.0
DECODE_RATE = 60.0 * SPEED  # tokens a second and stream
SLOWER_PER_STREAM = 0.12
PREFILL_RATE = 4_000.0 * SPEED
TOOL_SECONDS = 1.2 / SPEED
NUM_AGENTS = 4
NUMBERS = (
    *("score", "seconds", "ideal_seconds", "critical_steps", "total_steps"),
    *("num_calls", "num_prompt_tokens", "num_tokens"),
)
THOUGHT = "The next part has to be looked up before I can say anything about it. " * 3

SCRIPTED = (
    "The model is a script: 60 tokens a second and stream (12 % slower with each further "
    "stream), tools of 1.2 s, two dependent look-ups a part, all 20 times faster than in life. "
    "It shows what the loop itself makes of parallel work, and nothing about a real model.\n\n"
)


@dataclass
class Script:
    """A model that works through wide questions. ``calls_per_turn`` is its style alone."""

    questions: Sequence[Question]
    calls_per_turn: int = 1
    model: str = "script"
    _at_work: int = 0

    async def stream_raw(self, prompt: str, **options: Any) -> AsyncGenerator[Delta, None]:
        """Write the next turn, at the pace of a server with so many streams."""
        text = self.turn(prompt)
        num_tokens = -(-len(text) // 4)
        self._at_work += 1
        try:
            await asyncio.sleep(len(prompt) / 4 / PREFILL_RATE)
            for start in range(0, len(text), 128):
                share = 1 + SLOWER_PER_STREAM * (self._at_work - 1)
                await asyncio.sleep(32 / DECODE_RATE * share)
                yield Delta(text=text[start : start + 128])
            yield Delta(
                finish_reason="stop", num_tokens=num_tokens, num_prompt_tokens=len(prompt) // 4
            )
        finally:
            self._at_work -= 1

    def stream_chat(self, *arguments: Any, **options: Any) -> AsyncGenerator[Delta, None]:
        """Not played: the script reads prompts."""
        raise NotImplementedError

    def turn(self, prompt: str) -> str:
        """What comes next: calls, or the answer from what was looked up."""
        if AGENT_PROMPT in prompt:
            parts = prompt.split("Look up: ")[1].split("<|im_end|>")[0].split("; ")
            return self._look_up(parts, prompt, 1)
        question = next(one for one in self.questions if one.text in prompt)
        parts = [item.name for item in question.items]
        if "type assign_task" not in prompt:
            return self._look_up(parts, prompt, self.calls_per_turn)
        return self._delegate(parts, prompt)

    def _look_up(self, parts: Sequence[str], prompt: str, width: int) -> str:
        found = set(re.findall(r"detail of (.+?) is", prompt))
        seen = set(re.findall(r"entry of (.+?) stands", prompt))
        is_over = "Answer now with what you have." in prompt
        open_parts = [part for part in parts if part not in found]
        if not open_parts or is_over:
            return _answer([part for part in parts if part in found], prompt)
        calls = [
            ("read_entry" if part in seen else "find_entry", {"part": part})
            for part in open_parts[:width]
        ]
        return _calls(calls, prompt)

    def _delegate(self, parts: Sequence[str], prompt: str) -> str:
        names = [f"worker{place}" for place in range(NUM_AGENTS)]
        match prompt.count("<|tool_call_begin|>"):
            case 0:
                role = "You look facts up and report them line by line."
                made = [
                    ("create_subagent", {"name": name, "system_prompt": role}) for name in names
                ]
                return _calls(made, prompt)
            case 4:
                tasks = [
                    (
                        "assign_task",
                        {
                            "agent": name,
                            "prompt": "Look up: " + "; ".join(parts[place::NUM_AGENTS]),
                        },
                    )
                    for place, name in enumerate(names)
                ]
                return _calls(tasks, prompt)
        results = prompt.split("## Return of functions.assign_task")[1:]
        return _answer([part for part in parts if any(part in one for one in results)], prompt)


@dataclass(frozen=True)
class Lookup:
    """A tool that knows every part of every question, after a while."""

    name: str
    facts: Mapping[str, str]

    def declare(self) -> Mapping[str, Any]:
        parameters = {
            "type": "object",
            "properties": {"part": {"type": "string"}},
            "required": ["part"],
            "additionalProperties": False,
        }
        function = {"name": self.name, "description": "Look up.", "parameters": parameters}
        return {"type": "function", "function": function}

    async def call(self, arguments: Mapping[str, Any], desk: Desk) -> Found:
        await asyncio.sleep(TOOL_SECONDS)
        part = arguments["part"]
        text = (
            f"The entry of {part} stands in the handbook."
            if self.name == "find_entry"
            else f"The detail of {part} is: {self.facts[part]}."
        )
        record = Record(
            part, f"kos://doc/{self.name}/{part}", text, Provenance("script", "embedded")
        )
        return Found((record,), "source: script", "embedded")


def _answer(parts: Sequence[str], prompt: str) -> str:
    lines = []
    for part in parts:
        fact = re.search(
            rf"(?:detail of {re.escape(part)} is|- {re.escape(part)}): (.+?)[.\n]", prompt
        )
        lines.append(f"- {part}: {fact[1] if fact else ''}.")
    return f"{THOUGHT}</think>" + "\n".join(lines)


def _calls(calls: Sequence[tuple[str, Mapping[str, Any]]], prompt: str) -> str:
    start = prompt.count("<|tool_call_begin|>")
    written = "".join(
        f"<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>"
        f"{json.dumps(arguments)}<|tool_call_end|>"
        for index, (name, arguments) in enumerate(calls, start)
    )
    return f"{THOUGHT}</think><|tool_calls_section_begin|>{written}<|tool_calls_section_end|>"


def scripted(questions: Sequence[Question]) -> dict[str, Harness]:
    """The three arms of the scripted comparison."""
    facts: dict[str, str] = {}
    for item in [item for question in questions for item in question.items]:
        facts[item.name] = f"{facts.get(item.name, '')} {item.any_of[0]}".strip()
    tools = (Lookup("find_entry", facts), Lookup("read_entry", facts))
    dialect = DIALECTS["kimi"]()
    single = Harness(Script(questions), dialect, tools=tools, limits=Limits(max_context=0))
    patient = replace(single, limits=Limits(max_context=0, max_turns=24, max_calls=48))
    return {
        "single, 1 call a turn, 24 turns": patient,
        "single, 1 call a turn": single,
        "single, 8 calls a turn": replace(single, client=Script(questions, calls_per_turn=8)),
        "swarm, 4 sub-agents": replace(single, options=Options(mode="swarm")),
    }


def served(url: str, model: str, dialect: str, key: str) -> dict[str, Harness]:
    """The same model alone and as a swarm, with the embedded tools."""
    from kos.tools.registry import all_tools  # reads the tools' files: not for the script

    harness = Harness(
        HttpClient(url, model, key=key),
        DIALECTS[dialect](),
        tools=all_tools(),
        desk=Desk(is_offline=True),
        limits=Limits(max_tokens=4_096, seconds=600, max_context=128_000),
    )
    return {"single": harness, "swarm": replace(harness, options=Options(mode="swarm"))}


def report(attempts: Sequence[Attempt], arms: Sequence[str], base: str) -> str:
    """The comparison as Markdown tables; every speed beside its score."""
    lines = [f"| arm | {' | '.join(NUMBERS)} | failed |", "|---" * (len(NUMBERS) + 2) + "|"]
    for arm in arms:
        failed = sum(one.arm == arm and bool(one.error) for one in attempts)
        numbers = [f"{compare.mean_of(attempts, arm, name):,.2f}" for name in NUMBERS]
        lines.append(f"| {arm} | {' | '.join(numbers)} | {failed} |")
    lines += ["", f"| against {base} | wall clock | ideal | critical steps | tokens | score |"]
    lines.append("|---" * 6 + "|")
    for arm in arms:
        if arm == base:
            continue
        ratios = [
            _told(compare.speedup(attempts, base, arm, name=name), "x")
            for name in ("seconds", "ideal_seconds", "critical_steps", "num_tokens")
        ]
        delta = _told(compare.difference(attempts, base, arm, name="score"), "", sign="+")
        lines.append(f"| {arm} | {' | '.join(ratios)} | {delta} |")
    lines += ["", "| arm | score ≥ | reached | median seconds |", "|---" * 4 + "|"]
    for arm in arms:
        for threshold, share, seconds in compare.time_to_score(attempts, arm):
            told = "never" if seconds is None else f"{seconds:.2f}"
            lines.append(f"| {arm} | {threshold:.1f} | {share:.0%} | {told} |")
    return "\n".join(lines) + "\n"


def _told(found: compare.Estimate, unit: str, sign: str = "") -> str:
    return f"{found.value:{sign}.2f}{unit} ({found.low:{sign}.2f} to {found.high:{sign}.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--model", default="")
    parser.add_argument(
        "--dialect", default="kimi", choices=[cls.model_fields["kind"].default for cls in DIALECTS]
    )
    parser.add_argument("--repeats", type=int, default=compare.MIN_REPEATS)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--save", action="store_true", help=f"write {RESULT.name}")
    told = parser.parse_args()
    questions = compare.load()[: told.questions]
    if told.url:
        arms = served(told.url, told.model, told.dialect, os.environ.get("KOS_BENCH_KEY", ""))
    else:
        arms = scripted(questions)
    attempts = asyncio.run(compare.compare(arms, questions, repeats=told.repeats))
    head = (
        f"# Single agent and swarm\n\n{datetime.datetime.now(datetime.UTC).date()}, "
        f"{told.model or 'scripted model'}, {os.cpu_count()} cores {platform.machine()}, Python "
        f"{platform.python_version()}; {len(questions)} wide questions, each {told.repeats} times, "
        "arms in turns. Means over questions; intervals are 95 % bootstrap over questions.\n\n"
    )
    head += "" if told.url else SCRIPTED
    text = head + report(attempts, list(arms), next(iter(arms)))
    print(text)
    if told.save:
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
