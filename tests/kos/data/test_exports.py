from __future__ import annotations

import json

import pytest

from kos.data.exports import export
from kos.data.readers import read_tasks
from kos.data.rubrics import RubricItem, RubricTask, Turn, Verifier
from kos.errors import UserError

TURNS = (Turn(role="user", content="What now?"),)
ITEMS = (
    RubricItem(key="a", text="Says so", points=5, tags=("axis:accuracy",)),
    RubricItem(key="b", text="Lies", points=-3),
)
TASK = RubricTask(
    id="a",
    messages=TURNS,
    rubric=ITEMS,
    use_case="consult",
    tags=("theme:hedging",),
    reference="r",
)


def rows(format: str, *tasks: RubricTask) -> list:
    return [json.loads(line) for line in export(tasks, format)]


def test_healthbench_is_read_back_with_the_same_rubric() -> None:
    (row,) = rows("healthbench", TASK)
    (again,) = read_tasks([json.dumps(row)]).tasks
    assert [(item.text, item.points) for item in again.rubric] == [("Says so", 5), ("Lies", -3)]
    assert row["example_tags"] == ["theme:hedging", "use_case:consult"]
    assert again.reference == "r"


def test_kos_s_own_export_is_the_same_task() -> None:
    (row,) = rows("kos", TASK)
    assert read_tasks([json.dumps(row)]).tasks[0] == TASK


def test_verifiers_get_prompt_answer_and_info() -> None:
    task = RubricTask(id="v", messages=TURNS, verifier=Verifier(kind="numeric", answer="4"))
    (row,) = rows("verifiers", task)
    assert (row["answer"], row["info"]["verifier"]["kind"]) == ("4", "numeric")
    assert row["prompt"] == [{"role": "user", "content": "What now?"}]


@pytest.mark.parametrize("format", ["kos", "healthbench", "verifiers"])
def test_restricted_rows_never_leave(format: str) -> None:
    secret = TASK.model_copy(update={"id": "s", "restricted": True})
    assert len(rows(format, TASK, secret)) == 1


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(UserError, match="there are healthbench, kos, verifiers"):
        export([TASK], "xml")
