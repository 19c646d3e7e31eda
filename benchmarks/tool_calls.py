"""Whether a model calls the right tool: 50 questions that no training ever saw.

    python -m benchmarks.tool_calls BASE_FOLDER [--adapter ADAPTER_FOLDER]

Each question is asked as the harness asks it, with all seven tools declared, greedily, one turn.
Right is a call of the tool that the question was written for, first among the calls; valid is one
whose arguments fit the tool's schema. The peer is the same model without the adapter.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kos.chat.dialects import DIALECTS
from kos.chat.template import system_prompt
from kos.data.tool_questions import ToolQuestion, unseen
from kos.engine.base import SamplingParams
from kos.engine.machine import probe
from kos.engine.models import Chat, load_model
from kos.engine.sampling import Sampler
from kos.evals.statistics import wilson
from kos.messages import Message
from kos.serving.rows import Rows
from kos.tools.registry import all_tools

MAX_TOKENS = 96
AT_ONCE = 10


@dataclass(frozen=True)
class Outcome:
    """What a model made of one question."""

    question: ToolQuestion
    called: str
    is_valid: bool
    raw: str

    @property
    def is_right(self) -> bool:
        return self.called == self.question.tool


def ask(base: Path, adapter: Path | None = None) -> list[Outcome]:
    """Put every question to the model."""
    model = load_model(base, probe().use())
    if adapter is not None:
        import peft  # after kos.engine.machine, which tells torch's threads how to wait

        model = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload().eval()
    chat = Chat.load(base)
    sampler = Sampler(model, chat.end_ids)
    dialect = DIALECTS["hermes"]()
    tools = [tool.declare() for tool in all_tools()]
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    questions = unseen()
    told = system_prompt(has_tools=True)
    prompts = [
        chat.tokenize(
            dialect.render(
                [Message("system", told), Message("user", one.question)],
                tools,
                tools_as="json",
            )
        )
        for one in questions
    ]
    outcomes = []
    for question, tokens in zip(questions, said(Rows(sampler), prompts), strict=True):
        raw = chat.decode(tokens)
        parser = dialect.parser(schemas)
        parser.feed(raw)
        calls = parser.close("stop" if tokens[-1] in chat.end_ids else "length").calls
        first = calls[0] if calls else None
        is_valid = first is not None and first.error is None
        outcomes.append(Outcome(question, first.name if first else "", is_valid, raw))
    return outcomes


def said(rows: Rows, prompts: list[list[int]]) -> list[list[int]]:
    """Greedy answers, some at a time; what the prompts share is read once."""
    answers: list[list[int]] = [[] for _ in prompts]
    waiting = list(reversed(range(len(prompts))))
    active: dict[Any, int] = {}
    while waiting or active:
        while waiting and len(active) < AT_ONCE:
            number = waiting.pop()
            params = SamplingParams(MAX_TOKENS, temperature=0)
            active[rows.begin(prompts[number], params)] = number
        for row, token, _ in rows.step():
            answer = answers[active[row]]
            answer.append(token)
            if token in rows.end_ids or len(answer) == MAX_TOKENS:
                rows.end(row)
                del active[row]
    return answers


def line(name: str, outcomes: list[Outcome]) -> str:
    right = sum(one.is_right for one in outcomes)
    valid = sum(one.is_valid for one in outcomes)
    low, high = wilson(right, len(outcomes))
    return (
        f"| {name} | {right} of {len(outcomes)} | {100 * low:.0f} to {100 * high:.0f} % | "
        f"{valid} of {len(outcomes)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--show", action="store_true", help="print every wrong answer")
    chosen = parser.parse_args()
    rows = ["| model | right tool | 95 % interval | valid call |", "|---|---:|---|---:|"]
    rows.append(line("without adapter", ask(chosen.base)))
    if chosen.adapter:
        outcomes = ask(chosen.base, chosen.adapter)
        rows.append(line("with adapter", outcomes))
        missed = Counter((one.question.tool, one.called) for one in outcomes if not one.is_right)
        rows += [
            "",
            *(
                f"{wanted} missed for {called or 'no call'}: {n}"
                for (wanted, called), n in missed.items()
            ),
        ]
        if chosen.show:
            rows += [
                f"{o.question.question} -> {o.raw}"
                for o in outcomes
                if not o.is_right or not o.is_valid
            ]
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
