from __future__ import annotations

import json
from pathlib import Path

import pytest

from kos.data.labels import read_labels
from kos.errors import UserError

ROW = {
    "prompt": [{"role": "user", "content": "q"}],
    "prompt_id": "p",
    "completion_id": "c",
    "completion": "answer",
    "rubric": "Says so",
    "category": "hedging",
    "binary_labels": [True, False],
    "anonymized_physician_ids": ["d1", "d2"],
}


def read(path: Path, *rows: object) -> object:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return read_labels(path)


def test_a_row_is_an_answer_a_criterion_and_verdicts(tmp_path: Path) -> None:
    report = read(tmp_path / "m.jsonl", ROW, ROW | {"rubric": "Another", "canary": "x"})
    first, second = report.rows
    assert (first.met, first.by, first.category) == ((True, False), ("d1", "d2"), "hedging")
    assert (report.num_labels, first.restricted, second.restricted) == (4, False, True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"binary_labels": [1, 0]}, "true and false"),
        ({"binary_labels": []}, "not empty"),
        ({"anonymized_physician_ids": ["d1"]}, "do not go together"),
        ({"rubric": 5}, "must be texts"),
        ({}, "stand in line 1"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, object], word: str) -> None:
    report = read(tmp_path / "m.jsonl", ROW, ROW | change)
    assert (len(report.rows), report.problems[0].line) == (1, 2)
    assert word in report.problems[0].text


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: no prompt"):
        read(tmp_path / "m.jsonl", {"completion": "x"})
