from __future__ import annotations

import json

import pytest

from kos.config import Evaluate
from kos.data.rubrics import Provenance, RubricItem, RubricTask
from kos.errors import UserError
from kos.evals.benchmarks import BENCHMARKS, benchmark_of
from kos.evals.benchmarks.__main__ import main
from kos.evals.benchmarks.base import find
from kos.evals.references import benchmarks as referenced

KINDS = [cls.model_fields["kind"].default for cls in BENCHMARKS]
EMBEDDED = [kind for kind in KINDS if find(kind).needs is None]


def test_all_nine_are_registered_by_their_files():
    assert len(KINDS) == 9
    assert EMBEDDED == ["calculators", "forgetting", "physician_tasks", "tool_regressions"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not find(kind).is_of_labels])
def test_the_settings_are_an_evaluation(kind):
    assert Evaluate(**find(kind).settings()).kind == "evaluate"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if find(kind).reference])
def test_its_published_rows_are_there(kind):
    rows = referenced()
    assert find(kind).reference in rows or kind in ("healthbench", "healthbench_consensus")


@pytest.mark.parametrize("kind", EMBEDDED)
def test_the_command_writes_tasks_that_are_recognised(kind, capsys):
    assert main([kind]) == 0
    tasks = [
        RubricTask.model_validate(json.loads(row)) for row in capsys.readouterr().out.splitlines()
    ]
    assert tasks == find(kind).tasks(0)
    assert {task.split for task in tasks} == {"test"}
    assert benchmark_of(tasks).kind == kind
    assert all(task.tag_value("part") for task in tasks)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in EMBEDDED])
def test_nothing_of_a_restricted_benchmark_ships(kind, capsys):
    with pytest.raises(UserError, match="does not ship"):
        find(kind).tasks()
    assert main([kind]) == 1
    assert find(kind).needs.file in capsys.readouterr().err


def test_an_unknown_benchmark_names_the_known():
    with pytest.raises(UserError, match="There are: calculators"):
        find("nothing")


def imported(count: int, importer: str) -> list[RubricTask]:
    rubric = (RubricItem(key="a", text="A.", points=1),)
    return [
        RubricTask(
            id=f"p{n}",
            messages=({"role": "user", "content": "?"},),
            rubric=rubric,
            provenance=Provenance(importer=importer),
        )
        for n in range(count)
    ]


def test_an_imported_benchmark_is_known_by_format_and_rows():
    assert benchmark_of(imported(1000, "healthbench")).kind == "healthbench_hard"
    assert benchmark_of(imported(7, "healthbench")) is None
    assert benchmark_of(imported(7, "healthbench_professional")).kind == "healthbench_professional"
    assert benchmark_of(imported(7, "kos")) is None
