from __future__ import annotations

import json
import time

import pytest

from kos.evals.detectors import flags, repeats


def test_a_clean_answer_has_no_flags():
    assert flags("<think>why</think>Rest and fluids.", "Rest and fluids.", "stop") == ()


def test_a_close_without_an_open_is_a_leak():
    assert flags("Rest.</think> More.", "Rest. More.", "stop") == ("think_leak",)


def test_the_close_is_right_when_the_prompt_opened_the_thinking():
    assert flags("why</think>Rest.", "Rest.", "stop", starts_thinking=True) == ()


def test_a_control_token_in_the_answer_is_a_leak():
    assert flags("Hi<|im_end|>", "Hi<|im_end|>", "stop") == ("think_leak",)


@pytest.mark.parametrize(
    "raw",
    [
        "<|tool_call_begin|>functions.search_icd:0<|tool_call_argument_begin|>{",
        '<tool_call>{"name":',
    ],
)
def test_a_call_that_is_never_closed_is_flagged(raw):
    assert flags(raw, "x", "stop") == ("unclosed_call",)


def test_an_answer_cut_while_thinking_has_three_flags():
    assert flags("<think>on and", "", "length") == ("unclosed_think", "truncated", "empty")


def test_a_server_that_stopped_a_loop_is_believed():
    assert flags("the the the the", "the the the the", "repetition") == ("repetition",)


@pytest.mark.parametrize("period", [1, 2, 7, 64])
def test_a_phrase_said_eight_times_is_a_loop(period):
    phrase = [f"word{number}" for number in range(period)]
    text = " ".join(["First this."] + phrase * max(8, 16 // period) + ["and on"])
    assert repeats(text)
    assert not repeats(" ".join(phrase * 4))


def test_a_loop_without_blanks_is_found_by_characters():
    assert repeats("Go " + "abcdefgh" * 8)


@pytest.mark.parametrize(
    "text",
    ["|---" * 40, "- - - - " * 10, "no, no, no", json.dumps({"dose": list(range(300))})],
)
def test_rules_and_lists_are_no_loops(text):
    assert not repeats(text)


def test_a_long_answer_is_judged_quickly():
    text = " ".join(f"w{number * 7919 % 1000}" for number in range(4000))
    started = time.perf_counter()
    assert not repeats(text)
    assert time.perf_counter() - started < 3
