from __future__ import annotations

from typing import Any

import pytest

from apps.datasets.models import Dataset, DatasetVersion
from apps.runs.models import Run
from apps.traces import services
from apps.traces.models import Trace
from kos.events import ItemGrade, RolloutDone, to_json
from tests.factories import make_run

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
