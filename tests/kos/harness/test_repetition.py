from __future__ import annotations

import pytest

from kos.harness.repetition import Watch, period_of, without_repeats


@pytest.mark.parametrize(
    ("units", "period"),
    [
        ([7, *[1, 2, 3] * 30], 3),
        ([1] * 64, 1),
        ([1, 2] * 31, 0),  # spans 62 tokens, 64 are needed
        ([*range(64)] * 8, 64),
        ([*range(64)] * 7, 0),
        ([*range(600)], 0),
    ],
)
def test_a_period_needs_eight_rounds_and_sixty_four_tokens(units, period):
    assert period_of(units) == period


def test_ids_of_tokens_are_watched_where_the_server_tells_them():
    watch = Watch()
    assert not any(watch.take("a b ", [place]) for place in range(100))
    assert any(watch.take("again ", [place % 3]) for place in range(90))


def test_words_are_watched_where_it_does_not():
    watch = Watch()
    text = "Take it with food. " + "and then rest again " * 60
    assert any(watch.take(text[place : place + 4]) for place in range(0, len(text), 4))


@pytest.mark.parametrize("text", ["-" * 180, "| --- " * 25, " " * 180])
def test_rules_and_blanks_are_no_repetition(text):
    watch = Watch()
    assert not any(watch.take(letter, [1]) for letter in text)


def test_what_is_left_is_the_first_round():
    assert without_repeats("Well. " + "no no yes " * 20) == "Well. no no yes"
    assert without_repeats("Take it twice, twice.") == "Take it twice, twice."
