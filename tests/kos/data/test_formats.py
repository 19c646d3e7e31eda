"""Files as they stand, turned into tasks, and what the preview says of their lines."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from kos.data import lines
from kos.data.formats import FieldMap
from kos.data.readers import kind_of, read_file, read_tasks
from kos.errors import UserError

SHARED = Path(os.environ.get("KOS_SHARED") or Path(__file__).parents[4] / "shared")
PHYSICIANBENCH = SHARED / "data/physicianbench/physicianbench_2.jsonl.gz"
PROFESSIONAL = SHARED / "data/healthbench/import_hbpro_shape_5.jsonl.gz"
CRITERIA = [{"weight": 10.0, "requirement": "Says so"}, {"weight": -5, "requirement": "Lies"}]


def one(row: object) -> object:
    return read_tasks([json.dumps(row)]).tasks[0]


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    return path


def test_healthbench_keeps_every_reference_with_its_group() -> None:
    row = {
        "prompt_id": "p",
        "prompt": [{"role": "user", "content": "q"}],
        "rubrics": [
            {"criterion": "c", "points": 5, "tags": ["level:cluster", "cluster:ask_more"]}
        ],
        "example_tags": ["theme:hedging"],
        "ideal_completions_data": {
            "ideal_completion": "best",
            "ideal_completions_group": "Group 2",
            "ideal_completions_ref_completions": ["one", "two"],
        },
        "canary": "mark",
    }
    task = one(row)
    assert [(found.kind, found.group) for found in task.references] == [
        ("physician", "Group 2"),
        ("model_reference", "Group 2"),
        ("model_reference", "Group 2"),
    ]
    assert (task.rubric[0].consensus_key, task.canary, task.restricted) == (
        "ask_more",
        "mark",
        True,
    )


@pytest.mark.skipif(not PROFESSIONAL.exists(), reason="the shape file is not beside the project")
def test_professional_rows_get_their_tags_derived() -> None:
    task = read_file(PROFESSIONAL).tasks[1]
    assert task.slices["slice"] == "red teaming difficult"
    assert "use_case:writing" in task.tags
    assert task.slices["turns"] == "several turns"


@pytest.mark.skipif(not PHYSICIANBENCH.exists(), reason="the tasks are not beside the project")
def test_physicianbench_checkpoints_become_items_in_an_environment() -> None:
    report = read_file(PHYSICIANBENCH)
    first, second = report.tasks
    assert (report.format, len(first.rubric), len(second.rubric)) == ("physicianbench", 7, 6)
    assert first.environment is not None
    assert first.environment.patient_id == "MRN1610637279"
    assert "fhir_observation_search_labs" in first.environment.tools
    assert {item.checkpoint.kind for item in first.rubric if item.checkpoint} == {
        "trajectory",
        "llm_judge",
        "fhir_state",
    }
    assert second.language == "zh"


def test_a_folder_of_physicianbench_tasks_is_read(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / "onco" / name).mkdir(parents=True)
    point = {"checkpoint_id": "cp1", "eval_method": "field_match", "description": "Says PR"}
    write(tmp_path / "onco/good/checkpoints.json", {"checkpoints": [point]})
    write(tmp_path / "onco/good/instruction.md", "Assess the response.")
    write(tmp_path / "onco/good/task.toml", 'task_type = "T2"\ndeliverable = "report.md"')
    write(tmp_path / "onco/bad/checkpoints.json", "{")
    report = read_file(tmp_path)
    (task,) = report.tasks
    assert task.messages[0].content == "Assess the response."
    assert task.environment is not None
    assert task.environment.deliverables == ("report.md",)
    assert (task.tags, task.specialty) == (("task_type:T2",), "onco")
    assert "not JSON" in report.problems[0].text


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_a_rubric_alone_needs_the_prompt_it_belongs_to(tmp_path: Path, ending: str) -> None:
    text = '- weight: 10.0\n  requirement: "Says so"\n' if ending == "yaml" else CRITERIA
    path = write(tmp_path / f"rubric.{ending}", text)
    with pytest.raises(UserError, match="without a prompt"):
        read_file(path)
    (task,) = read_file(path, query="What now?").tasks
    assert (task.messages[0].content, task.rubric[0].points) == ("What now?", 10)


def test_a_query_with_its_rubric_is_a_task() -> None:
    task = one({"query": "What now?", "rubric": CRITERIA})
    assert [item.points for item in task.rubric] == [10, -5]
    assert task.id.startswith("row-")


def test_yaml_aliases_are_refused(tmp_path: Path) -> None:
    bomb = 'a: &a ["x","x"]\nb: [*a, *a]\n'
    with pytest.raises(UserError, match="aliases are not read"):
        read_file(write(tmp_path / "r.yaml", bomb))


@pytest.mark.parametrize(
    ("row", "kind", "answer"),
    [
        ({"prompt": "2+2?", "answer": "four"}, "exact", "four"),
        ({"question": "2+2?", "answer": 4}, "numeric", "4"),
        ({"problem": "Which?", "answer": "B", "choices": ["a", "b"]}, "choice", "B"),
        ({"prompt": "x", "pattern": "^ok$"}, "regex", ""),
        ({"prompt": "x", "tests": ["assert f(1) == 2"]}, "code_tests", ""),
        ({"prompt": "x", "schema": {"type": "object"}}, "json_schema", ""),
        ({"prompt": "x", "answer": "2*3", "verifier": "expr"}, "expr", "2*3"),
    ],
)
def test_a_prompt_with_an_answer_is_verified(row: object, kind: str, answer: str) -> None:
    task = one(row)
    assert task.verifier is not None
    assert (task.verifier.kind, task.verifier.answer, task.rubric) == (kind, answer, ())


def test_a_verifiable_task_carries_its_difficulty() -> None:
    task = one({"prompt": "q", "answer": "a", "level": 3, "pass_rate": 0.25, "domain": "dosing"})
    assert (task.level, task.tags) == (3, ("domain:dosing",))
    assert task.measured is not None
    assert task.measured.pass_rate == 0.25


def test_a_file_of_its_own_shape_is_read_by_naming_its_fields() -> None:
    row = {"ask": "q", "crit": [{"criteria": "c", "weight": 2}], "nr": 7, "field": "cardiology"}
    fields = FieldMap(prompt="ask", rubric="crit", id="nr", specialty="field")
    (task,) = read_tasks([json.dumps(row)], fields=fields).tasks
    assert (task.id, task.specialty, task.rubric[0].text) == ("7", "cardiology", "c")
    with pytest.raises(UserError, match="no field 'ask'"):
        read_tasks(['{"x": 1}'], fields=fields)


def test_a_document_of_rows_is_read_row_by_row(tmp_path: Path) -> None:
    rows = [{"query": "a", "rubric": CRITERIA}, {"query": "b", "rubric": []}]
    report = read_file(write(tmp_path / "rows.json", rows))
    assert (len(report.tasks), report.problems[0].line) == (1, 2)


def test_repeated_tags_are_kept_once_and_named() -> None:
    row = {"query": "a", "rubric": [CRITERIA[0] | {"tags": ["x", "x"]}], "tags": ["t", "t"]}
    report = read_tasks([json.dumps(row)])
    assert report.tasks[0].tags == ("t",)
    assert report.tasks[0].rubric[0].tags == ("x",)
    assert len(report.notices) == 2
    assert "rubric item 1" in report.notices[1].text


def test_a_rubric_of_faults_alone_is_kept_and_named() -> None:
    report = read_tasks([json.dumps({"query": "a", "rubric": [CRITERIA[1]]})])
    assert "every rubric item is negative" in report.notices[0].text


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"query": "b", "rubric": [{"weight": 0, "requirement": "c"}]}, "0 points"),
        ({"query": "b", "rubric": [{"weight": 5}]}, "no criterion"),
        ({"query": [{"role": "narrator", "content": "x"}], "rubric": CRITERIA}, "role"),
        ({"query": [{"role": "assistant", "content": "x"}], "rubric": CRITERIA}, "not the user"),
        ({"query": 5, "rubric": CRITERIA}, "must be a text or a list"),
        ({"task": "t", "checkpoints": 5}, "checkpoints must be a list"),
    ],
)
def test_a_bad_row_is_named_with_its_line(row: object, word: str) -> None:
    report = read_tasks([json.dumps({"query": "a", "rubric": CRITERIA}), json.dumps(row)])
    assert report.problems[0].line == 2
    assert word in report.problems[0].text


def test_a_small_archive_cannot_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(lines, "MAX_FILE_BYTES", 3000)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * 1_000_000))
    with pytest.raises(UserError, match="line 1 has more than 1,000 bytes"):
        read_file(path)
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000))
    with pytest.raises(UserError, match="larger than"):
        read_file(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('{"prompt_id": "a", "rubric_items": [{"criteria_met": true}]}', "finished"),
        ('{\n "metadata": {"example_level_metadata": []}}', "finished"),
        ('{"rubric": "c", "completion": "x", "binary_labels": [true]}', "labels"),
        ('{"query": "a", "rubric": []}', "tasks"),
        ("", "tasks"),
    ],
)
def test_a_file_is_known_by_its_first_row(tmp_path: Path, content: str, kind: str) -> None:
    assert kind_of(write(tmp_path / "f.jsonl", content)) == kind
