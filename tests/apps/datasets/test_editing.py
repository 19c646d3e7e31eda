"""The form of the editor and the task it stands for."""

from __future__ import annotations

from apps.datasets import editing
from apps.datasets.problems import problems_of
from kos.data.rubrics import Check, Checkpoint, NumberRange, RubricItem, RubricTask, Turn

FULL = Check(
    any_of=("hold", "omit"),
    all_of=("INR",),
    none_of=("double",),
    regex="vit(amin)? k",
    number=NumberRange(low=2, high=3, near=("INR", "target")),
    min_chars=80,
    max_chars=800,
    asks_question=True,
)
TASK = RubricTask(
    id="a",
    messages=(Turn(role="system", content="Be brief."), Turn(role="user", content="What now?")),
    rubric=(
        RubricItem(key="hold", text="Holds.", points=5, check=FULL, tags=("axis:accuracy", "x")),
        RubricItem(key="vague", text="Is vague.", points=-2.5),
        RubricItem(key="c", text="Orders it.", points=1, checkpoint=Checkpoint(kind="fhir_state")),
    ),
    use_case="consult",
    difficulty="difficult",
    specialty="cardiology",
    tags=("theme:emergency",),
    reference="Hold it.",
    sources=("NICE",),
    licence="CC0",
).model_dump(mode="json", exclude_defaults=True)


def posted(task) -> dict[str, str]:
    """What a browser would send for the form drawn from ``task``."""
    rows = editing.rows_of(task, [])
    data = {name: str(task.get(name, "")) for name in ("specialty", "reference")}
    data |= {name: task.get(name, "other") for name in ("use_case", "difficulty", "type")}
    data |= {"split": task.get("split", "train"), "tags": ", ".join(task.get("tags", ()))}
    for row in rows["turns"]:
        start = f"turn-{row.place}-"
        data |= {f"{start}role": row.values["role"], f"{start}text": row.values["content"]}
        data[f"{start}was"] = str(row.place)
    for row in rows["items"]:
        start = f"item-{row.place}-"
        values = {name: value for name, value in row.values.items() if value is not False}
        data |= {f"{start}{name}": str(value) for name, value in values.items()}
        data[f"{start}was"] = row.values["key"]
    return data


def test_a_form_sent_back_unchanged_is_the_same_task():
    found = editing.task_from(posted(TASK), TASK)
    assert RubricTask.model_validate(found) == RubricTask.model_validate(TASK)


def test_what_the_form_has_no_field_for_is_kept():
    data = posted(TASK) | {"item-2-key": "renamed"}
    found = editing.task_from(data, TASK)
    assert found["rubric"][2]["checkpoint"] == {"kind": "fhir_state"}
    assert (found["sources"], found["licence"]) == (["NICE"], "CC0")


def test_a_renamed_item_keeps_its_checkpoint_while_somebody_types_on():
    data = posted(TASK) | {"item-2-key": "renamed"}
    again = editing.task_from(data, editing.task_from(data, TASK))
    assert again["rubric"][2]["checkpoint"] == {"kind": "fhir_state"}


def test_points_are_read_as_people_write_them():
    data = posted(TASK) | {"item-1-points": "\N{MINUS SIGN}2,5"}
    assert editing.task_from(data, TASK)["rubric"][1]["points"] == -2.5
    data |= {"item-1-points": "inf"}
    assert editing.task_from(data, TASK)["rubric"][1]["points"] is None


def test_buttons_add_remove_and_move():
    keys = lambda task: [item["key"] for item in task["rubric"]]  # noqa: E731
    assert keys(editing.act(TASK, "item-up 1")) == ["vague", "hold", "c"]
    assert keys(editing.act(TASK, "item-down 0")) == ["vague", "hold", "c"]
    assert keys(editing.act(TASK, "item-remove 0")) == ["vague", "c"]
    assert keys(editing.act(TASK, "item-add"))[-1] == "item-4"
    assert editing.act(TASK, "turn-add")["messages"][-1]["role"] == "assistant"
    assert editing.act(TASK, "item-up 99") == editing.act(TASK, "nonsense") == TASK


def test_what_is_wrong_stands_at_its_place():
    data = posted(TASK) | {"item-0-regex": "(", "item-1-text": "", "item-2-points": "0"}
    task = editing.task_from(data, TASK)
    assert [problem.where for problem in problems_of(task)] == ["item 2", "item 3", "item 1"]
    rows = editing.rows_of(task, problems_of(task))["items"]
    assert "cannot be read" in rows[0].problems[0]
    assert rows[1].problems == ["the text is empty"]
    assert "0 points" in rows[2].problems[0]


def test_two_items_with_one_key_are_a_problem_of_the_whole():
    data = posted(TASK) | {"item-1-key": "hold"}
    task = editing.task_from(data, TASK)
    assert editing.rows_of(task, problems_of(task))["general"] == [
        "two rubric items have the same key"
    ]


def test_the_usable_part_of_a_task_can_be_tried():
    data = posted(TASK) | {"item-1-text": "", "turn-1-text": ""}
    usable = editing.usable(editing.task_from(data, TASK))
    assert [item.key for item in usable.rubric] == ["hold", "c"]
    assert editing.usable({"rubric": []}) is None
