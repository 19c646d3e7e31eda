"""Questions that call for one tool, as tasks that are played at Kos's own desk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kos.data.rubrics import Checkpoint, Environment, RubricItem, RubricTask, Turn
from kos.data.tool_questions import ToolQuestion

TOOLS = (
    "web_search",
    "search_triage_guideline",
    "search_drug_label",
    "search_pubmed",
    "search_clinical_trials",
    "search_icd",
    "read_url",
)
ITEMS = (
    ("right_tool", "Calls the tool that the question calls for, and none where none is"),
    ("arguments", "Looks for what was asked"),
    ("valid_calls", "Every call is whole and fits its declaration"),
    ("clean", "Answers without a leak, a loop or an open end"),
)


def task_of(
    question: ToolQuestion, *, tags: Sequence[str], earlier: Sequence[Turn] = ()
) -> RubricTask:
    """The question behind the turns ``earlier``; a tool of "" means that none is called for."""
    params: dict[str, Any] = {"tool": question.tool, "arguments": dict(question.arguments)}
    needs: Mapping[str, dict[str, Any]] = {"right_tool": params, "arguments": params}
    return RubricTask(
        id=f"tools-{question.id}",
        messages=(*earlier, Turn(role="user", content=question.question)),
        rubric=tuple(
            RubricItem(
                key=kind,
                text=text,
                points=1,
                checkpoint=Checkpoint(kind=kind, params=needs.get(kind, {})),
            )
            for kind, text in ITEMS
        ),
        split="test",
        tags=tuple(tags),
        environment=Environment(tools=TOOLS, data={"sandbox": "desk"}),
        licence="Apache-2.0",
        sources=("Kos; written by hand",),
    )
