"""What a training costs beside its subject: tool calls and general tasks, before and after.

Reinforcement learning is said to forget less than fine-tuning does; this is how one sees it on
one's own model. Every answer is verified by rule. Ask the model before and after, in one run or
in two that are compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, ClassVar, Literal

from pydantic import Field

from kos.data.rubrics import Check, RubricItem, RubricTask, Turn, Verifier
from kos.data.tool_questions import unseen
from kos.evals.benchmarks import tool_tasks
from kos.evals.benchmarks.base import (
    BENCHMARKS,
    Answers,
    Benchmark,
    Figure,
    pass_rates,
    passes,
    tagged,
)
from kos.evals.scores import Mode
from kos.evals.statistics import mcnemar_p
from kos.events import RolloutDone

Draw = random.Random
Made = tuple[str, Verifier | Check]
CLOSING = "End with one line: Answer: <your answer>"
# Every third of the fifty questions: all seven tools are among them.
TOOL_STEP = 3
FACTS = (
    ("Which planet is closest to the sun?", ("Venus", "Mercury", "Mars", "Earth"), "B"),
    ("What is the capital of Australia?", ("Sydney", "Melbourne", "Canberra", "Perth"), "C"),
    ("Who wrote Don Quixote?", ("Cervantes", "Dante", "Goethe", "Moliere"), "A"),
    ("Which gas do plants take up to grow?", ("Oxygen", "Helium", "Argon", "Carbon dioxide"), "D"),
    ("How many sides has a hexagon?", ("Five", "Six", "Seven", "Eight"), "B"),
    ("Which ocean is the largest?", ("Atlantic", "Indian", "Pacific", "Arctic"), "C"),
    ("In which year did the Second World War end?", ("1945", "1939", "1918", "1950"), "A"),
    ("What is the chemical symbol of iron?", ("Ir", "In", "I", "Fe"), "D"),
    ("Which language is spoken in Brazil?", ("Spanish", "Portuguese", "French", "Italian"), "B"),
    ("What does a thermometer measure?", ("Pressure", "Mass", "Temperature", "Speed"), "C"),
)
WORDS = (
    "amber",
    "bridge",
    "candle",
    "dolphin",
    "ember",
    "forest",
    "garden",
    "harbour",
    "island",
    "jacket",
    "kettle",
    "lantern",
)


@BENCHMARKS.register
class Forgetting(Benchmark):
    """Forgetting probe: tool calls and general tasks, before and after."""

    kind: Literal["forgetting"] = "forgetting"
    cases: int = Field(6, ge=1, le=100, description="Tasks of each general sort.")

    measures: ClassVar[str] = (
        "What training took away: tool calling, arithmetic, general facts, following "
        "instructions, structured output."
    )
    source: ClassVar[str] = "Made by Kos; the instructions after IFEval (arXiv:2311.07911)"

    def settings(self) -> dict[str, Any]:
        """One answer at temperature 0, verified by rule."""
        return {
            "samples": 1,
            "scoring": "unit",
            "sampling": {"max_tokens": 512, "temperature": 0.0},
            "system_prompt": "",
            "grader": {"kind": "embedded"},
        }

    def tasks(self, seed: int = 0) -> list[RubricTask]:
        """The tool-call suite, then ``cases`` of each general sort."""
        tools = [
            tool_tasks.task_of(one, tags=tagged("forgetting", "tool calls"))
            for one in unseen()[::TOOL_STEP]
        ]
        return [*tools, *(task for sort in SORTS for task in self._general(sort, seed))]

    def figures(
        self, tasks: Mapping[str, RubricTask], answers: Answers, mode: Mode
    ) -> list[Figure]:
        """What passes, by suite; then what each model lost and gained against the one before."""
        return [
            *pass_rates(tasks, answers, "passed"),
            *(
                figure
                for first, second in pairwise(answers)
                for figure in forgotten(tasks, first, answers[first], second, answers[second])
            ),
        ]

    def _general(self, sort: str, seed: int) -> Iterator[RubricTask]:
        draw = Draw(f"forgetting,{sort},{seed}")
        found: dict[str, Made] = {}
        # A sort with a fixed stock may hold fewer.
        for _ in range(50 * self.cases):
            made = SORTS[sort](draw)
            found.setdefault(made[0], made)
            if len(found) == self.cases:
                break
        for number, made in enumerate(found.values()):
            yield _task(f"forgetting-{sort}-{seed}-{number}", sort, *made)


def forgotten(
    tasks: Mapping[str, RubricTask],
    first: str,
    before: Sequence[RolloutDone],
    second: str,
    after: Sequence[RolloutDone],
) -> list[Figure]:
    """Lost minus gained, as a share of the tasks both answered, in all and by suite.

    p is McNemar's exact: the same prompt, the same sample.
    """
    earlier = {(one.example_id, one.sample): passes(one) for one in before if not one.error}
    later = {(one.example_id, one.sample): passes(one) for one in after if not one.error}
    shared = [key for key in earlier if earlier[key] is not None and later.get(key) is not None]
    parts = dict.fromkeys(tasks[name].tag_value("part") for name, _ in shared)
    figures = []
    for part in ("all", *parts):
        keys = [k for k in shared if part in ("all", tasks[k[0]].tag_value("part"))]
        lost = sum(bool(earlier[k]) and not later[k] for k in keys)
        gained = sum(bool(later[k]) and not earlier[k] for k in keys)
        if keys:
            note = f"{lost} lost, {gained} gained since {first}; p {mcnemar_p(lost, gained):.3g}"
            share = (lost - gained) / len(keys)
            figures.append(
                Figure(second, "forgotten", part, share, None, None, len(keys), note=note)
            )
    return figures


def _task(name: str, sort: str, text: str, rule: Verifier | Check) -> RubricTask:
    rubric: tuple[RubricItem, ...] = ()
    verifier = None
    if isinstance(rule, Verifier):
        verifier = rule
    else:
        rubric = (RubricItem(key="follows", text="Does as it was told.", points=1, check=rule),)
    return RubricTask(
        id=name,
        messages=(Turn(role="user", content=text),),
        rubric=rubric,
        verifier=verifier,
        split="test",
        tags=tagged("forgetting", sort.replace("_", " ")),
        licence="Apache-2.0",
        sources=("Kos; drawn from a seed",),
    )


def _sum(draw: Draw) -> Made:
    a, b, c = draw.randint(12, 99), draw.randint(3, 12), draw.randint(5, 60)
    text = f"A box holds {a} pens. {b} boxes arrive and {c} pens are given away. How many pens are left? {CLOSING}"
    return text, Verifier(kind="numeric", answer=str(a * b - c))


def _day(draw: Draw) -> Made:
    start, days = date(2026, 1, 1) + timedelta(days=draw.randrange(360)), draw.randint(8, 45)
    end = start + timedelta(days=days)
    text = f"{start:%d %B %Y} is a {start:%A}. Which day of the week is it {days} days later? {CLOSING}"
    return text, Verifier(kind="regex", params={"pattern": rf"answer:\W*{end:%A}\b"})


def _fact(draw: Draw) -> Made:
    question, choices, letter = draw.choice(FACTS)
    told = " ".join(f"({mark}) {text}" for mark, text in zip("ABCD", choices, strict=True))
    return f"{question} {told} {CLOSING.replace('your answer', 'letter')}", Verifier(
        kind="choice", answer=letter
    )


def _instruction(draw: Draw) -> Made:
    word, other = draw.sample(WORDS, 2)
    limit = draw.choice((120, 160, 200))
    return draw.choice(
        (
            (
                f"Write one sentence about a {word}. Use the word {other} and do not use the letter combination 'the' as a word. At most {limit} characters.",
                Check(all_of=(other,), none_of=("the",), max_chars=limit),
            ),
            (
                f"Write exactly three lines about a {word}. Begin each line with '- '. Nothing else.",
                Check(regex=r"\A\s*- .+\n- .+\n- .+\s*\Z", any_of=(word, f"{word}s")),
            ),
            (
                f"Say something about a {word} in capital letters only, with no digit, in at most {limit} characters.",
                Check(regex=r"\A[^a-z0-9]*[A-Z][^a-z0-9]*\Z", max_chars=limit),
            ),
            (
                f"Ask me one question about a {word} and end your answer with the word {other} after it.",
                Check(regex=rf"\?\W*{other}\W*\Z", asks_question=True),
            ),
        )
    )


def _structure(draw: Draw) -> Made:
    name, count = draw.choice(WORDS), draw.randint(2, 40)
    properties = {"item": {"const": name}, "count": {"const": count}, "in_stock": {"const": True}}
    schema = {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
    text = f"There are {count} of the item {name} in stock. Give this as one JSON object with the keys item (text), count (number) and in_stock (true or false), and nothing else."
    return text, Verifier(kind="json_schema", params={"schema": schema})


SORTS: Mapping[str, Callable[[Draw], Made]] = {
    "arithmetic": _sum,
    "calendar": _day,
    "facts": _fact,
    "instructions": _instruction,
    "structured_output": _structure,
}
