from __future__ import annotations

import pytest

from kos.evals.detectors.loops import is_action_loop, longest_streak
from kos.evals.detectors.style import Look, language, look, refuses, switches_language
from kos.messages import ToolCall, ToolRecord

ENGLISH = "What should I do for the pain in my knee, and when do I have to see a doctor for it?"
SPANISH = "Debe tomar el medicamento con la comida y no con alcohol, por favor, si no es posible."


def test_marks_are_counted():
    text = "# Plan 🙂\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n  - two\n    - three"
    assert look(text) == Look(emojis=1, tables=1, headings=1, bullet_depth=3)
    assert look("Rest. 5 - 3 is 2.") == Look(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("answer", "is_refusal"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("As an AI, I cannot provide medical advice.", True),
        ("I cannot provide a diagnosis. You should go to the emergency room now.", False),
        ("Rest and fluids.", False),
        ("I can't answer that. " + "Go on. " * 80, False),
        ("", False),
    ],
)
def test_only_an_answer_that_offers_nothing_is_a_refusal(answer, is_refusal):
    assert refuses(answer) is is_refusal


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ENGLISH, "en"),
        (SPANISH, "es"),
        ("Что мне делать, если у меня болит колено и когда идти к врачу", "cyrillic"),
        (
            "膝盖疼的时候我应该怎么办？什么时候需要去看医生？如果晚上疼得睡不着，可以吃什么药来止痛呢？还要注意什么",
            "han",
        ),
        ("BP 140/90, HR 80", ""),
    ],
)
def test_the_language_is_told_where_there_is_enough_of_it(text, name):
    assert language(text) == name


def test_an_answer_in_another_language_is_a_switch():
    assert switches_language(ENGLISH, SPANISH)
    assert not switches_language(ENGLISH, ENGLISH)
    assert not switches_language("gout?", SPANISH)


def test_a_second_script_in_the_middle_is_a_switch():
    assert switches_language(ENGLISH, ENGLISH + " 膝盖疼的时候我应该怎么办")
    assert not switches_language(ENGLISH, ENGLISH + " TNF-α and β-blockers")


def record(arguments: str, observation: str = "x") -> ToolRecord:
    call = ToolCall("functions.search_icd:0", "search_icd", arguments)
    return ToolRecord(call, observation, "", "embedded", False, 0, 0, 1)


def test_equal_calls_are_equal_whatever_their_key_order():
    calls = [("f", '{"a": 1, "b": 2}'), ("f", '{"b":2,"a":1}'), ("f", '{"a": 2}')]
    assert longest_streak(calls) == 2


def test_three_equal_calls_running_are_a_loop():
    assert is_action_loop([record("{}")] * 3)
    assert not is_action_loop([record("{}"), record('{"q": 1}', "y"), record("{}")])


def test_four_equal_results_running_are_a_loop():
    calls = [record(f'{{"q": {n}}}', "nothing found") for n in range(4)]
    assert is_action_loop(calls)
    assert not is_action_loop(calls[:3])
