from __future__ import annotations

import json
from pathlib import Path

import pytest

from kos.errors import UserError
from kos.evals.gate import Limits, check, main
from kos.evals.scores import Mode
from tests.kos.evals.graded import make_answer, make_rows, make_scored

MODE = Mode("raw")


def run(score: float, num: int = 40, **fields: object) -> list:
    return [make_scored(str(n), score + n % 5 / 50, **fields) for n in range(num)]


LIMITS = Limits()


def rules(candidate: list, baseline: list, limits: Limits = LIMITS) -> list[str]:
    return [reason.rule for reason in check(candidate, baseline, MODE, limits).reasons]


def test_an_equal_run_passes() -> None:
    assert check(run(0.5), run(0.5), MODE, Limits()).passed


def test_a_certain_loss_fails_and_an_uncertain_one_passes() -> None:
    assert rules(run(0.4), run(0.5)) == ["loss"]
    noisy = [make_scored(str(n), 0.45 + (-1) ** n * 0.3) for n in range(40)]
    assert rules(noisy, run(0.45)) == []


def test_a_loss_within_what_may_be_lost_passes() -> None:
    assert rules(run(0.47), run(0.5), Limits(max_loss=0.05)) == []


def test_a_rising_failure_rate_fails() -> None:
    assert rules(run(0.5, flags=("truncated",)), run(0.5)) == ["failure:truncated"]


def test_too_many_ungraded_items_fail() -> None:
    candidate = [*run(0.5), make_answer("0", (5, None), sample=1)]
    assert rules(candidate, run(0.5)) == ["ungraded"]
    assert rules(candidate, run(0.5), Limits(max_ungraded=0.5)) == []


def test_runs_that_share_nothing_cannot_be_told() -> None:
    with pytest.raises(UserError, match="share no prompt"):
        check([make_scored("a", 1)], [make_scored("b", 1)], MODE, Limits())


def test_the_command_exits_with_1_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = make_rows(50)
    worse = json.loads(json.dumps(rows))
    for row in worse:
        for item in row["rubric_items"]:
            item["criteria_met"] = item["points"] < 0
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for file, content in zip(files, (rows, worse), strict=True):
        file.write_text("\n".join(map(json.dumps, content)))
    assert main([str(files[0]), str(files[1])]) == 1
    assert json.loads(capsys.readouterr().out)["reasons"][0]["rule"] == "loss"
    assert main([str(files[0]), str(files[0])]) == 0
    assert main([str(files[0]), str(tmp_path / "none")]) == 2
