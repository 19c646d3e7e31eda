from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kos.data.readers import read_file, read_tasks
from kos.errors import UserError

SHARED = Path(__file__).parents[4] / "shared" / "data" / "healthbench"
KOS = {
    "id": "a",
    "messages": [{"role": "user", "content": "q"}],
    "rubric": [{"key": "k", "text": "t", "points": 5}],
}
HEALTHBENCH = {
    "prompt_id": "p1",
    "prompt": [{"role": "user", "content": "q"}],
    "rubrics": [{"criterion": "Says so", "points": -3, "tags": ["axis:accuracy"]}],
    "example_tags": ["theme:hedging"],
    "canary": "healthbench:x",
}


def lines(*rows: object) -> list[str]:
    return [row if isinstance(row, str) else json.dumps(row) for row in rows]


def test_healthbench_rows_become_restricted_test_prompts() -> None:
    report = read_tasks(lines(HEALTHBENCH))
    task = report.tasks[0]
    assert (report.format, task.split, task.restricted) == ("healthbench", "test", True)
    assert (task.rubric[0].points, task.tags) == (-3, ("theme:hedging",))


@pytest.mark.skipif(not SHARED.exists(), reason="the HealthBench rows are not beside the project")
@pytest.mark.parametrize(
    ("name", "num_tasks", "num_items"),
    [("import_healthbench_30", 30, 352), ("import_hbpro_shape_5", 5, 13)],
)
def test_published_files_are_read_as_they_stand(name: str, num_tasks: int, num_items: int) -> None:
    report = read_file(SHARED / f"{name}.jsonl.gz")
    assert (len(report.tasks), report.problems) == (num_tasks, [])
    assert sum(len(task.rubric) for task in report.tasks) == num_items


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("{not json", "not JSON"),
        ("[]", "JSON object"),
        ({"question": "q"}, "question"),
        (KOS | {"id": "b", "extra": 1}, "extra"),
        (KOS | {"id": "b", "rubric": [{"key": "k", "text": "t", "points": 0}]}, "0 points"),
        (KOS | {"id": "b", "messages": [{"role": "assistant", "content": "x"}]}, "not the user"),
        (KOS, "already stands in line 1"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_named_and_the_good_ones_stay(row: object, word: str) -> None:
    report = read_tasks(lines(KOS, row))
    assert len(report.tasks) == 1
    assert report.problems[0].line == 2
    assert word in report.problems[0].text


def test_a_file_without_a_usable_prompt_says_what_the_first_line_lacks() -> None:
    with pytest.raises(UserError, match="line 1: not JSON"):
        read_tasks(["nonsense"])


def test_a_broken_archive_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(KOS).encode())[:-12])
    with pytest.raises(UserError, match=r"rows\.jsonl\.gz cannot be read"):
        read_file(path)
