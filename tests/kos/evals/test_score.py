"""The command, held against simple-evals' own arithmetic written out again here."""

from __future__ import annotations

import gzip
import json
import math
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from kos.evals.finished import read_graded
from kos.evals.score import main, metrics
from kos.evals.scores import Mode
from tests.kos.evals.graded import make_rows, make_scored

ROWS = make_rows(60, samples=2)


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def calculate(items: list[dict[str, Any]]) -> float | None:
    possible = sum(item["points"] for item in items if item["points"] > 0)
    if possible == 0:
        return None
    return sum(item["points"] for item in items if item["criteria_met"]) / possible


def reference(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """simple-evals, healthbench_eval.py: grade_sample and _aggregate_get_clipped_mean."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        overall = calculate(row["rubric_items"])
        assert overall is not None
        found = {"overall_score": overall} | dict.fromkeys(row["example_tags"], overall)
        for tag in {tag for item in row["rubric_items"] for tag in item["tags"]}:
            own = calculate([item for item in row["rubric_items"] if tag in item["tags"]])
            if own is not None:
                found[tag] = own
        for name, one in found.items():
            values[name].append(one)
    return values


def test_every_metric_equals_simple_evals(tmp_path: Path) -> None:
    found = metrics(read_graded(write(tmp_path / "a.jsonl", ROWS)), Mode())["metrics"]
    wanted = reference(ROWS)
    names = {name for name in found if not name.endswith((":n_samples", ":bootstrap_std"))}
    assert names == wanted.keys()
    for name, values in wanted.items():
        clipped = min(1.0, max(0.0, statistics.fmean(values)))
        assert found[name] == pytest.approx(clipped, abs=1e-9)
        assert found[f"{name}:n_samples"] == len(values)


def test_the_bootstrap_deviation_is_what_1000_resamples_give(tmp_path: Path) -> None:
    found = metrics(read_graded(write(tmp_path / "a.jsonl", ROWS)), Mode())["metrics"]
    rng = random.Random(1)
    for name, values in reference(ROWS).items():
        means = [statistics.fmean(rng.choices(values, k=len(values))) for _ in range(1000)]
        drawn = statistics.pstdev(min(1.0, max(0.0, mean)) for mean in means)
        assert found[f"{name}:bootstrap_std"] == pytest.approx(drawn, rel=0.12)


def test_intervals_take_the_prompt_as_unit(tmp_path: Path) -> None:
    found = metrics(read_graded(write(tmp_path / "a.jsonl", ROWS)), Mode())
    interval = found["intervals"]["overall_score"]
    assert (interval["n_prompts"], found["metrics"]["overall_score:n_samples"]) == (60, 120)
    assert interval["mean"] == pytest.approx(found["metrics"]["overall_score"])


def test_length_adds_adjusted_metrics_beside_the_others(tmp_path: Path) -> None:
    answers = read_graded(write(tmp_path / "a.jsonl", ROWS))
    found = metrics(answers, Mode("healthbench_len"))["metrics"]
    wanted = statistics.fmean(
        calculate(row["rubric_items"]) - 2.94e-5 * (len(row["completion"]) - 2000)  # type: ignore[operator]
        for row in ROWS
    )
    assert found["overall_score_length_adjusted"] == pytest.approx(max(0.0, wanted), abs=1e-9)
    assert found["overall_score"] == pytest.approx(metrics(answers, Mode())["score"], abs=1e-12)


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", ROWS)
    assert main([str(path), "--mode", "healthbench", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["metrics"]["overall_score"] == printed["score"]
    assert printed["mode"] == "healthbench"


def test_without_json_it_prints_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write(tmp_path / "a.jsonl", ROWS))]) == 0
    assert "axis:accuracy" in capsys.readouterr().out


def test_packed_files_and_allresults_give_the_same_numbers(tmp_path: Path) -> None:
    plain = metrics(read_graded(write(tmp_path / "a.jsonl", ROWS)), Mode())["score"]
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    whole = tmp_path / "c_allresults.json"
    document = {"score": plain, "metadata": {"example_level_metadata": ROWS}}
    whole.write_text(json.dumps(document, indent=2))
    assert metrics(read_graded(packed), Mode())["score"] == plain
    assert metrics(read_graded(whole), Mode())["score"] == plain


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken", "line 2: not JSON"),
        ('{"prompt_id": ""}', "line 2: prompt_id"),
        ('{"prompt_id": "x"}', "line 2: rubric_items must be a list"),
        (
            '{"prompt_id": "x", "rubric_items": [{"criterion": "c", "points": 5, "met": true}]}',
            "line 2: rubric item 1: criteria_met must be true, false or null, which is not there",
        ),
        (
            '{"prompt_id": "x", "rubric_items": [{"points": 5, "criteria_met": "yes"}]}',
            "found 'yes'",
        ),
        ('{"prompt_id": "x", "rubric_items": [{"points": "5", "criteria_met": true}]}', "points"),
        (
            '{"prompt_id": "x", "example_tags": ["a", "a"], "rubric_items": []}',
            "'a' stands there twice",
        ),
    ],
)
def test_a_bad_line_is_a_sentence_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    assert main([str(write(tmp_path / "a.jsonl", [ROWS[0], line])), "--json"]) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert output.out == ""


def test_length_without_completions_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {name: ROWS[0][name] for name in ("prompt_id", "rubric_items")}
    assert main([str(write(tmp_path / "a.jsonl", [row])), "--mode", "healthbench_len"]) == 2
    assert "completion" in capsys.readouterr().err


def test_a_missing_file_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_compare_prints_the_paired_statistics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    better = [json.loads(json.dumps(row)) for row in ROWS]
    for row in better[:60]:
        row["rubric_items"][0]["criteria_met"] = True
    files = [write(tmp_path / "a.jsonl", ROWS), write(tmp_path / "b.jsonl", better)]
    assert main(["compare", *map(str, files), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["delta"]["mean"] > 0
    assert found["shared_prompts"] == 60
    assert found["losses"] == 0
    assert main(["compare", *map(str, files)]) == 0
    assert "shared prompts" in capsys.readouterr().out


def test_compare_needs_a_shared_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = [ROWS[0] | {"prompt_id": "another"}]
    files = [write(tmp_path / "a.jsonl", ROWS[:2]), write(tmp_path / "b.jsonl", other)]
    assert main(["compare", *map(str, files)]) == 2
    assert "share no prompt" in capsys.readouterr().err


def test_4000_graded_rows_are_all_scored(tmp_path: Path) -> None:
    answers = read_graded(write(tmp_path / "a.jsonl", make_rows(4000)))
    found = metrics(answers, Mode("healthbench_len"))
    assert found["counts"]["graded"] == 4000


def test_the_module_runs_without_pydantic_torch_or_django(tmp_path: Path) -> None:
    code = (
        "import sys, kos.evals.score as s; "
        f"assert s.main([{str(write(tmp_path / 'a.jsonl', ROWS))!r}, '--json']) == 0; "
        "print(sorted({'torch', 'django', 'pydantic', 'numpy'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_unit_mode_deviates_over_clipped_answers() -> None:
    answers = [make_scored(str(n), one) for n, one in enumerate([0.5, -2.0, 1.0, 0.0])]
    found = metrics(answers, Mode("unit"))["metrics"]
    assert found["overall_score"] == pytest.approx(0.375)
    spread = statistics.pstdev([0.5, 0, 1, 0]) / math.sqrt(4)
    assert found["overall_score:bootstrap_std"] == pytest.approx(spread)
