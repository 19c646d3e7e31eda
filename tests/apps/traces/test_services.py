from __future__ import annotations

from typing import Any

import pytest

from apps.datasets.models import Dataset, DatasetVersion
from apps.runs.models import Run
from apps.traces import services
from apps.traces.models import Trace, TraceFlag
from kos.events import ItemGrade, RolloutDone, to_json
from kos.messages import Source, ToolCall, ToolRecord, TurnRecord
from tests.factories import make_run, make_trace, make_user

pytestmark = pytest.mark.django_db


def rollout(**more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": "policy",
        "example_id": "a",
        "sample": 0,
        "messages": ({"role": "user", "content": "q"},),
        "answer": "yes",
        "thinking": "",
        "raw": "yes",
        "num_tokens": 1,
        "num_answer_tokens": 1,
        "stop_reason": "stop",
        "items": (ItemGrade("k", "text", 5, True, "check"),),
        "score": 1.0,
        "step": 3,
    }
    return to_json(RolloutDone(**(fields | more)))


CALL = ToolCall("1", "look_up", '{"query": "secret"}')
HARNESS: dict[str, Any] = {
    "turns": (
        TurnRecord(
            *(1, "secret raw", "secret thought", "", (CALL,), "tool_calls", (), 10, 5, 0.0),
            *(0.2, 1.0),
            rendered="secret prompt",
            token_ids=(1, 2),
            logprobs=(-0.1, -0.2),
        ),
    ),
    "tools": (ToolRecord(CALL, "secret found", "live", "live", False, 1.0, 0.5, 1, ("S1",)),),
    "sources": (Source("S1", "secret title", "", "secret text", {"mode": "live"}),),
    "versions": {"dialect": "kimi"},
}


@pytest.fixture
def run(db: None) -> Run:
    return make_run("train")


def test_a_rollout_is_kept_with_its_grades(run: Run) -> None:
    services.record(run, 1, [rollout()])
    trace = Trace.objects.get()
    assert (trace.step, trace.score, trace.messages[0]["content"]) == (3, 1.0, "q")
    assert [grade.met for grade in trace.grades.all()] == [True]


def test_a_step_done_again_replaces_its_first_try(run: Run) -> None:
    services.record(run, 1, [rollout(answer="first")])
    services.record(run, 2, [rollout(answer="second")])
    assert [(trace.attempt, trace.answer) for trace in Trace.objects.all()] == [(2, "second")]


def test_a_nul_character_does_not_lose_the_answer(run: Run) -> None:
    services.record(run, 1, [rollout(answer="a\x00b")])
    assert Trace.objects.get().answer == "a\ufffdb"


def test_benchmark_text_is_not_kept(run: Run) -> None:
    run.dataset = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(name="hb"), number=1, digest="d", is_restricted=True
    )
    services.record(run, 1, [rollout()])
    trace = Trace.objects.get()
    assert (trace.is_restricted, trace.messages, trace.score) == (True, [], 1.0)
    assert trace.grades.get().text == services.HIDDEN


def restricted(run: Run) -> Run:
    run.dataset = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(name="hb"), number=1, digest="d", is_restricted=True
    )
    return run


def test_the_harness_s_records_are_kept(run: Run) -> None:
    services.record(run, 1, [rollout(**HARNESS)], origin="chat")
    trace = Trace.objects.get()
    assert (trace.origin, trace.question, trace.tool_names) == ("chat", "q", ["look_up"])
    assert (trace.seconds, trace.versions) == (1.5, {"dialect": "kimi"})
    assert trace.turns[0]["logprobs"] == [-0.1, -0.2]
    assert trace.sources[0]["id"] == "S1"


def test_of_benchmark_prompts_the_harness_s_records_keep_their_numbers_alone(run: Run) -> None:
    items = (ItemGrade("k", "secret item", 5, True, "judge", "secret note", raw="secret reply"),)
    messages = ({"role": "user", "content": "secret prompt"},)
    data = rollout(**HARNESS, messages=messages, items=items, thinking="secret", raw="secret")
    services.record(restricted(run), 1, [data])
    trace = Trace.objects.get()
    row = Trace.objects.filter(pk=trace.pk).values().get()
    grade = trace.grades.values().get()
    assert "secret" not in str({name: value for name, value in row.items() if name != "search"})
    assert "secret" not in str(grade)
    assert (trace.turns[0]["num_tokens"], trace.tools[0]["seconds"]) == (5, 0.5)
    assert trace.turns[0]["token_ids"] == []


def test_what_a_run_s_kind_says_is_the_origin(run: Run) -> None:
    services.record(run, 1, [rollout()])
    services.record(make_run("evaluate"), 1, [rollout()])
    services.record(None, 0, [rollout()])
    services.record(None, 0, [rollout()], origin="api")
    origins = [*Trace.objects.order_by("pk").values_list("origin", flat=True)]
    assert origins == ["rollout", "evaluation", "api", "api"]


def test_a_judge_s_reply_is_kept_with_its_verdict(run: Run) -> None:
    item = ItemGrade("k", "t", 5, True, "judge:x@1", "note", ("axis",), "raw", 2, 0.5, 9, True)
    services.record(run, 1, [rollout(items=(item,))])
    grade = Trace.objects.get().grades.get()
    kept = (grade.tags, grade.raw, grade.attempts, grade.num_tokens, grade.is_cached)
    assert kept == (["axis"], "raw", 2, 9, True)


def test_no_character_of_a_tool_s_result_loses_the_answer(run: Run) -> None:
    odd = ToolRecord(CALL, "a\x00b\ud800c", "", "live", False, 0, 0, 1)
    services.record(run, 1, [rollout(tools=(odd,))])
    assert Trace.objects.get().tools[0]["observation"] == "a\ufffdb?c"


def test_what_a_reader_says_can_be_taken_back_until_it_is_settled(db: None) -> None:
    trace, user = make_trace(), make_user()
    services.raise_flags(trace, user, ["unsafe", "review"], note="Look.")
    services.raise_flags(trace, user, ["review"])
    assert [flag.kind for flag in TraceFlag.objects.open()] == ["review"]
    assert services.settle_flags(trace) == 1
    services.raise_flags(trace, user, [])
    assert TraceFlag.objects.get().settled is not None
