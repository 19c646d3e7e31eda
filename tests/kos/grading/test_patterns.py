from __future__ import annotations

import pytest

from kos.grading import patterns


def test_every_pattern_says_where_it_was_found() -> None:
    assert patterns.search(["b+", "z"], "abbBc") == [[(1, 4)], []]


def test_a_slow_pattern_is_ended_and_those_before_it_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patterns, "LIMIT_SECONDS", 1.0)
    assert patterns.search(["a", "(a+)+$"], "a" * 50 + "b")[1] is None


def test_a_pattern_that_cannot_be_read_is_none_and_said() -> None:
    assert patterns.search(["(", "a"], "a") == [None, [(0, 1)]]
    assert "cannot be read" in patterns.problem_of("(")
    assert patterns.problem_of("a|b") == ""


def test_no_pattern_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_search", None)
    assert patterns.search([], "a") == []
