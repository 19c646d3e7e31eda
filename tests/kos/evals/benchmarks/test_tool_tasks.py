from __future__ import annotations

from kos.data.rubrics import RubricTask
from kos.evals.benchmarks.base import find
from kos.evals.benchmarks.forgetting import SORTS
from kos.evals.scores import Mode
from kos.evals.worlds import world_of
from kos.events import ItemGrade, RolloutDone
from kos.grading.score import grade
from kos.messages import ToolCall, ToolRecord

TASKS = {task.id: task for task in find("tool_regressions").tasks()}
LABEL = TASKS["tools-unseen-00"]
THANKS = TASKS["tools-turns-thanks"]


def called(name: str, arguments: str) -> ToolRecord:
    call = ToolCall("functions.x:0", name, arguments)
    return ToolRecord(call, "found", "", "embedded", False, 0, 0, 1)


def rollout(task: RubricTask, *tools: ToolRecord, answer="It may.", flags=(), **fields):
    known = {"model": "m", "sample": 0, "items": (), "score": None} | fields
    return RolloutDone(
        example_id=task.id,
        messages=({"role": "user", "content": "?"},),
        answer=answer,
        thinking="",
        raw=answer,
        num_tokens=3,
        num_answer_tokens=3,
        stop_reason="stop",
        flags=flags,
        tools=tools,
        **known,
    )


def verdicts(task: RubricTask, *tools: ToolRecord, **fields) -> dict[str, bool | None]:
    items = world_of(task).grade(task, rollout(task, *tools, **fields))
    return {item.key: item.met for item in items}


GOOD = called("search_drug_label", '{"drug": "naproxen", "sections": ["interactions"]}')


def test_the_right_call_meets_all_four_demands():
    assert set(verdicts(LABEL, GOOD).values()) == {True}


def test_the_wrong_tool_is_told_from_wrong_arguments():
    other = called("search_icd", '{"query": "naproxen"}')
    assert verdicts(LABEL, other)["right_tool"] is False
    elsewhere = called("search_drug_label", '{"drug": "aspirin"}')
    found = verdicts(LABEL, elsewhere)
    assert (found["right_tool"], found["arguments"]) == (True, False)


def test_arguments_that_do_not_fit_are_invalid():
    assert (
        verdicts(LABEL, called("search_drug_label", '{"medicine": "naproxen"}'))["valid_calls"]
        is False
    )
    assert verdicts(LABEL, called("search_drug_label", '{"drug": '))["valid_calls"] is False
    assert verdicts(LABEL, GOOD, flags=("unclosed_call",))["valid_calls"] is False


def test_where_no_tool_is_called_for_silence_is_right():
    assert verdicts(THANKS)["right_tool"] is True
    assert verdicts(THANKS, GOOD)["right_tool"] is False


def test_leaks_loops_and_silence_are_not_clean():
    assert verdicts(LABEL, GOOD, flags=("stray_think_close",))["clean"] is False
    assert verdicts(LABEL, GOOD, flags=("repetition",))["clean"] is False
    assert verdicts(LABEL, GOOD, answer=" ")["clean"] is False


def test_its_numbers_are_told_by_demand_and_by_tool():
    items = tuple(
        ItemGrade(key, "t", 1, key != "clean", "calls") for key in ("right_tool", "clean")
    )
    answers = {"m": [rollout(LABEL, items=items), rollout(LABEL, error="gone", sample=1)]}
    figures = find("tool_regressions").figures({LABEL.id: LABEL}, answers, Mode("unit"))
    found = {(one.name, one.part): one.value for one in figures}
    assert found["all four", "search drug label"] == 0.0
    assert [value for (name, _), value in found.items() if name.startswith("Calls the tool")] == [
        0.5
    ]


FORGETTING = {task.id: task for task in find("forgetting").tasks(1)}


def probe(sort: str) -> RubricTask:
    return next(task for name, task in FORGETTING.items() if f"-{sort}-" in name)


def test_all_seven_tools_are_probed():
    tools = {
        item.checkpoint.params["tool"]
        for task in FORGETTING.values()
        for item in task.rubric[:1]
        if item.checkpoint
    }
    assert len(tools) == 7
    assert {task.tag_value("part") for task in FORGETTING.values()} == {
        "tool calls",
        *(s.replace("_", " ") for s in SORTS),
    }


def test_a_general_task_is_verified_by_rule():
    for sort, wrong in (
        ("arithmetic", "Answer: -1"),
        ("facts", "Answer: Z"),
        ("structured_output", "{}"),
    ):
        assert [item.met for item in grade(probe(sort), wrong)] == [False]
    sums = probe("arithmetic")
    assert grade(sums, f"So it is.\nAnswer: {sums.verifier.answer}")[0].met is True
    day = probe("calendar")
    right = day.verifier.params["pattern"].removeprefix(r"answer:\W*").removesuffix(r"\b")
    assert grade(day, f"Answer: {right}")[0].met is True
    assert grade(day, "Answer: Someday")[0].met is False


def test_what_was_lost_is_set_against_what_was_gained():
    names = [name for name, task in FORGETTING.items() if task.tag_value("part") == "facts"][:5]
    tasks = {name: FORGETTING[name] for name in names}

    def answers(*met: bool) -> list[RolloutDone]:
        return [
            rollout(FORGETTING[name], items=(ItemGrade("verifier", "t", 1, one, "verifier"),))
            for name, one in zip(names, met, strict=True)
        ]

    before, after = answers(True, True, True, False, True), answers(False, False, True, True, True)
    figures = find("forgetting").figures(tasks, {"base": before, "trained": after}, Mode("unit"))
    lost = next(one for one in figures if one.name == "forgotten" and one.part == "facts")
    assert (lost.value, lost.n) == (0.2, 5)
    assert lost.note == "2 lost, 1 gained since base; p 1"
