from __future__ import annotations

import json
from pathlib import Path

import pytest

from kos.data.overlap import find_overlaps, find_repeats, main
from kos.data.rubrics import RubricItem, RubricTask, Turn

LONG = "My father is 71, takes warfarin, and was given clarithromycin for a chest infection today."
ITEMS = (RubricItem(key="k", text="t", points=1),)


def make(name: str, text: str) -> RubricTask:
    return RubricTask(id=name, messages=(Turn(role="user", content=text),), rubric=ITEMS)


def test_a_copy_is_found_whatever_its_case_and_punctuation() -> None:
    (pair,) = find_overlaps([make("t", LONG.upper().replace(",", ""))], [make("e", LONG)])
    assert (pair.train_id, pair.evaluation_id, pair.share) == ("t", "e", 1.0)


def test_a_prompt_with_something_added_is_found_by_its_share() -> None:
    (pair,) = find_overlaps([make("t", f"Please help me. {LONG} What now?")], [make("e", LONG)])
    assert pair.share == 1.0
    (half,) = find_overlaps([make("t", LONG[:55])], [make("e", LONG)], threshold=0.2)
    assert 0.2 < half.share < 0.8


def test_two_questions_on_one_subject_do_not_overlap() -> None:
    other = "Which antibiotics raise the INR of a patient on warfarin with a chest infection?"
    assert find_overlaps([make("t", other)], [make("e", LONG)]) == []


def test_short_prompts_overlap_only_when_equal() -> None:
    train = [make("t", "Dose of aspirin?"), make("u", "Dose of ibuprofen?")]
    assert [pair.train_id for pair in find_overlaps(train, [make("e", "dose of Aspirin")])] == [
        "t"
    ]


def test_the_command_prints_ids_and_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name in ("t", "e"):
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text(make(name, LONG).model_dump_json())
    assert main([*map(str, files), "--json"]) == 1
    printed = capsys.readouterr().out
    assert json.loads(printed)["overlaps"][0]["share"] == 1.0
    assert "warfarin" not in printed
    assert main([str(files[0]), str(tmp_path / "none")]) == 2


def test_repeats_within_a_set_are_exact_or_near() -> None:
    texts = [LONG, "Dose of aspirin?", LONG.upper(), f"{LONG} What now?", "Dose of aspirin?"]
    exact, also, near = find_repeats(texts)
    assert (exact.first, exact.second, exact.is_exact) == (0, 2, True)
    assert (also.first, also.second, also.is_exact) == (1, 4, True)
    assert (near.first, near.second, near.share, near.is_exact) == (0, 3, 1.0, False)


def test_prompts_that_share_less_than_the_threshold_are_no_repeats() -> None:
    texts = [LONG, f"{LONG[:30]} and something else is asked about her mother today"]
    assert find_repeats(texts) == []
    assert find_repeats(["", "", "?"]) == []


def test_looking_for_repeats_says_how_far_it_is() -> None:
    heard: list[int] = []
    find_repeats((f"prompt {number}" for number in range(1000)), told=heard.append)
    assert heard == [500, 1000]
