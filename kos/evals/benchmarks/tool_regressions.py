"""What training does to tool calling: the right tool, valid arguments, nothing leaked or looped.

Fifty questions that no training set of Kos holds, and a few conversations in which an earlier
result must be used or the right thing is to call nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from kos.data.rubrics import Call, RubricTask, Turn
from kos.data.tool_questions import ToolQuestion, unseen
from kos.evals.benchmarks.base import (
    BENCHMARKS,
    Answers,
    Benchmark,
    Figure,
    pass_rates,
    rate,
    tagged,
)
from kos.evals.benchmarks.tool_tasks import ITEMS, TOOLS, task_of
from kos.evals.scores import Mode
from kos.events import RolloutDone


class Conversation(NamedTuple):
    """Turns before the question, and the question; ``tool`` "" calls for no tool."""

    id: str
    earlier: tuple[Turn, ...]
    question: str
    tool: str
    arguments: Mapping[str, Any]


def user(text: str) -> Turn:
    """A turn of the reader."""
    return Turn(role="user", content=text)


def assistant(text: str) -> Turn:
    """A turn of the model."""
    return Turn(role="assistant", content=text)


def looked_up(name: str, arguments: str, result: str) -> tuple[Turn, Turn]:
    """A call of an earlier turn and what it brought."""
    id = f"functions.{name}:0"
    call = Call(id=id, name=name, arguments=arguments)
    return (
        Turn(role="assistant", content="", tool_calls=(call,)),
        Turn(role="tool", content=result, tool_call_id=id),
    )


GOUT = looked_up("search_icd", '{"query": "gout"}', "[S1] M10.9 Gout, unspecified")
CONVERSATIONS = (
    Conversation(
        "turns-code-then-label",
        (user("What is the ICD-10 code for gout?"), *GOUT, assistant("M10.9 [S1].")),
        "Thanks. And what does the label of colchicine say about interactions?",
        "search_drug_label",
        {"drug": "colchicine"},
    ),
    Conversation(
        "turns-another-code",
        (user("What is the ICD-10 code for gout?"), *GOUT, assistant("M10.9 [S1].")),
        "And the code for pseudogout (chondrocalcinosis)?",
        "search_icd",
        {"query": "chondrocalcinosis"},
    ),
    Conversation(
        "turns-thanks",
        (user("What is the ICD-10 code for gout?"), *GOUT, assistant("M10.9 [S1].")),
        "Perfect, that was all. Thank you.",
        "",
        {},
    ),
    Conversation(
        "turns-rewrite",
        (
            user("Write a sentence for the discharge letter: gout, colchicine for five days."),
            assistant("The patient was treated with colchicine for five days for acute gout."),
        ),
        "Make it shorter.",
        "",
        {},
    ),
    Conversation(
        "turns-symptom-develops",
        (
            user("I have had a sore throat since yesterday."),
            assistant("Rest and fluids help. Do you have a fever or trouble swallowing?"),
        ),
        "Now I can hardly swallow my own saliva. Should I go to the emergency room?",
        "search_triage_guideline",
        {"query": "sore throat swallow"},
    ),
    Conversation(
        "turns-evidence-then-trials",
        (
            user("Does semaglutide help in knee osteoarthritis?"),
            assistant("A randomised trial in people with obesity found less pain."),
        ),
        "Are any trials recruiting for that now?",
        "search_clinical_trials",
        {"condition": "knee osteoarthritis"},
    ),
)


@BENCHMARKS.register
class ToolRegressions(Benchmark):
    """Tool regressions: right tool, valid arguments, no leaks or loops."""

    kind: Literal["tool_regressions"] = "tool_regressions"

    measures: ClassVar[str] = (
        "Whether the model still calls the right tool with arguments that fit, and answers "
        "without leaks, loops or open calls. Ask base and trained, or the same model with "
        "TypeScript and JSON declarations."
    )
    source: ClassVar[str] = "Written for Kos; definitions after K2 Vendor Verifier"
    reference: ClassVar[str] = "detectors"

    def settings(self) -> dict[str, Any]:
        """Six samples: some 330 answers tell a leak rate of 3 % from one of 0.2 %."""
        return {
            "samples": 6,
            "scoring": "unit",
            "sampling": {"max_tokens": 2048, "temperature": 0.7},
            "answering": {"kind": "endpoint", "tools": list(TOOLS)},
            "grader": {"kind": "embedded"},
        }

    def tasks(self, seed: int = 0) -> list[RubricTask]:
        """The same for every seed."""
        single = [
            task_of(one, tags=tagged("tool_regressions", one.tool.replace("_", " ")))
            for one in unseen()
        ]
        return [*single, *(_conversation(one) for one in CONVERSATIONS)]

    def figures(
        self, tasks: Mapping[str, RubricTask], answers: Answers, mode: Mode
    ) -> list[Figure]:
        """Each of the four demands, then all four, by tool."""
        demands = [
            rate(model, text, "all", [_met(one, key) for one in group])
            for model, group in answers.items()
            for key, text in ITEMS
        ]
        return [*demands, *pass_rates(tasks, answers, "all four")]


def _conversation(one: Conversation) -> RubricTask:
    question = ToolQuestion(one.id, one.question, one.tool, one.arguments)
    tags = tagged("tool_regressions", "several turns")
    return task_of(question, tags=tags, earlier=one.earlier)


def _met(answer: RolloutDone, key: str) -> bool | None:
    """Nothing was met by an answer that failed."""
    if answer.error:
        return False
    return next((item.met for item in answer.items if item.key == key), None)
