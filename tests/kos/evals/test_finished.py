from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.errors import UserError
from kos.evals.exports import to_allresults, to_csv
from kos.evals.finished import completion_id, read_finished, read_graded
from kos.evals.score import metrics
from kos.evals.scores import Mode, State
from tests.kos.evals.graded import make_rows, make_scored

ROWS = make_rows(4, samples=2)


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_several_rows_of_a_prompt_are_its_samples(tmp_path: Path) -> None:
    answers = read_graded(write(tmp_path / "gpt.jsonl", *ROWS))
    assert [(answer.prompt_id, answer.sample) for answer in answers[:3]] == [
        ("p0", 0),
        ("p0", 1),
        ("p1", 0),
    ]
    assert answers[0].model == "gpt"
    assert answers[0].slices["theme"] == ROWS[0]["example_tags"][0].removeprefix("theme:")


def test_a_null_verdict_is_ungraded_and_an_error_a_failure(tmp_path: Path) -> None:
    item = {"criterion": "c", "points": 5, "criteria_met": None}
    rows = [{"prompt_id": "a", "rubric_items": [item]}, {"prompt_id": "b", "error": "timeout"}]
    answers = read_graded(write(tmp_path / "a.jsonl", *rows))
    assert [answer.state for answer in answers] == [State.INCOMPLETE, State.FAILED]


def test_the_length_is_that_of_the_last_message(tmp_path: Path) -> None:
    row = ROWS[0] | {"completion": [{"role": "assistant", "content": "four"}]}
    found = read_finished(write(tmp_path / "a.jsonl", row)).answers[0]
    assert (found.graded.chars, found.answer) == (4, "four")


def test_the_dataset_lends_tags_that_allresults_lacks(tmp_path: Path) -> None:
    rows = [{name: row[name] for name in row if name != "example_tags"} for row in ROWS]
    path = tmp_path / "m_allresults.json"
    path.write_text(json.dumps({"metadata": {"example_level_metadata": rows}}))
    task = RubricTask(
        id="p0",
        messages=(Turn(role="user", content="q"),),
        rubric=(RubricItem(key="k", text="t", points=1),),
        tags=("theme:hedging",),
        restricted=True,
    )
    found = read_finished(path, tasks={"p0": task})
    assert found.graded[0].example_tags == ("theme:hedging",)
    assert found.graded[0].restricted
    assert "6 answers are to prompts that the dataset does not hold" in found.notes


def test_a_file_of_another_kind_says_what_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"metrics": {}}, indent=1))
    with pytest.raises(UserError, match="example_level_metadata"):
        read_graded(path)


def test_an_export_is_read_back_with_the_same_numbers(tmp_path: Path) -> None:
    run = read_finished(write(tmp_path / "a.jsonl", *ROWS))
    document = to_allresults(run.answers, Mode())
    path = tmp_path / "b_allresults.json"
    path.write_text(json.dumps(document))
    again = metrics(read_graded(path), Mode())
    assert again["metrics"] == document["metrics"]
    row = document["metadata"]["example_level_metadata"][0]
    assert row["completion_id"] == completion_id("p0", str(ROWS[0]["completion"]))


def test_restricted_rows_do_not_leave(tmp_path: Path) -> None:
    secret = [row | {"canary": "x"} for row in ROWS]
    run = read_finished(write(tmp_path / "a.jsonl", *secret))
    document = json.dumps(to_allresults(run.answers, Mode()))
    assert '"num_restricted": 8' in document
    assert "criterion 0 0" not in document
    assert "criterion" not in "".join(to_csv(run.graded, Mode()))


def test_the_csv_has_a_line_an_answer_and_no_formula() -> None:
    answers = [make_scored("=cmd()", 0.5), make_scored("b", -2.0)]
    rows = list(csv.DictReader(to_csv(answers, Mode())))
    assert [row["prompt_id"] for row in rows] == ["'=cmd()", "b"]
    assert [float(row["value"]) for row in rows] == [0.5, -2.0]
