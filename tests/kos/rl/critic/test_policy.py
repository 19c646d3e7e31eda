from __future__ import annotations

import math

import pytest

from kos.engine.base import Datum
from kos.rl.critic.judgement import settled
from kos.rl.critic.policy import EngineCritic
from kos.rl.critic.rubrics import RUBRICS, chosen
from kos.rl.critic.verdicts import Odds, read_odds
from kos.rl.critic.wording import ask_pair
from kos.rl.losses.base import CrossEntropy
from tests.kos.engine.tiny import make_tasks

TASK = make_tasks()[0]
ANSWERS = ["Rest.", "Rest and fluids, and see a doctor if it lasts.", "Great question! Rest."]
CLARITY = [RUBRICS["clarity"]]
SPOKEN = [("user", TASK.messages[0].content)]


def questions():
    orders = [(ANSWERS[0], ANSWERS[1]), (ANSWERS[1], ANSWERS[0])]
    return [ask_pair(SPOKEN, a, b, CLARITY) for a, b in orders]


def test_the_odds_are_the_log_probabilities_of_the_letters(engine):
    for question, odds in zip(questions(), read_odds(engine, questions()), strict=True):
        prompt = engine.chat.encode(question)
        for letter, expected in (("A", odds.a), ("B", odds.b)):
            [row] = engine.compute_logprobs([[*prompt, *engine.chat.tokenize(letter)]])
            assert row[-1] == pytest.approx(expected, abs=1e-4)


def test_an_engine_without_forward_gives_the_same_odds(engine, monkeypatch):
    expected = read_odds(engine, questions())
    monkeypatch.setattr(type(engine), "capabilities", frozenset({"prompt_logprobs"}))
    for found, wanted in zip(read_odds(engine, questions()), expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-4)


def test_a_judgement_follows_the_odds_of_both_orders(engine):
    judgement = EngineCritic(engine).judge(TASK, ANSWERS[:2], rubrics=CLARITY, mandatory=[])
    forth, back = (odds.letter() for odds in read_odds(engine, questions()))
    assert judgement.bouts[0][2:] == settled(forth, back)
    assert judgement.broken_G == (False, False)


def says(monkeypatch, *odds: Odds):
    monkeypatch.setattr("kos.rl.critic.policy.read_odds", lambda engine, questions: [*odds])


def test_a_liking_for_a_letter_cancels_out(engine, monkeypatch):
    says(monkeypatch, Odds(-1.0, -3.0), Odds(-1.0, -2.0))
    for orders, preference in (("agree", "tie"), ("cancel", "first")):
        critic = EngineCritic(engine, orders=orders)
        [bout] = critic.judge(TASK, ANSWERS[:2], rubrics=CLARITY, mandatory=[]).bouts
        assert (bout.preference, bout.is_flipped) == (preference, True)


def test_cancelling_never_makes_up_a_verdict(engine, monkeypatch):
    says(monkeypatch, Odds(math.nan, -3.0), Odds(-1.0, -2.0))
    critic = EngineCritic(engine, orders="cancel")
    [bout] = critic.judge(TASK, ANSWERS[:2], rubrics=CLARITY, mandatory=[]).bouts
    assert bout.preference is None


def test_a_rule_is_broken_when_both_orders_say_so(engine, monkeypatch):
    says(monkeypatch, Odds(-1, -2), Odds(-2, -1), Odds(-1, -2), Odds(-1, -2))
    mandatory = chosen(["calibrated_uncertainty"])
    found = EngineCritic(engine).judge(TASK, ANSWERS[:2], rubrics=[], mandatory=mandatory)
    assert found.broken_G == (True, False)


def test_even_a_random_policy_has_a_verdict_on_every_pair(engine):
    judgement = EngineCritic(engine).judge(TASK, ANSWERS, rubrics=CLARITY, mandatory=[])
    assert [bout[:2] for bout in judgement.bouts] == [(0, 1), (0, 2), (1, 2)]
    assert all(bout.preference is not None for bout in judgement.bouts)


def test_letters_that_are_too_unlikely_are_unreadable(engine):
    critic = EngineCritic(engine, min_mass=1.0)
    judgement = critic.judge(TASK, ANSWERS, rubrics=CLARITY, mandatory=[])
    assert judgement.values("win_rate") == [None, None, None]


def test_a_written_reply_that_names_no_letter_is_no_verdict(engine):
    critic = EngineCritic(engine, reads="text", max_tokens=4)
    judgement = critic.judge(TASK, ANSWERS[:2], rubrics=CLARITY, mandatory=[])
    assert judgement.values("win_rate") == [None, None]


def test_praise_breaks_a_rule_and_the_uncertainty_is_asked_for(engine):
    mandatory = chosen(["no_opening_praise", "calibrated_uncertainty"])
    critic = EngineCritic(engine)
    judgement = critic.judge(TASK, ANSWERS, rubrics=CLARITY, mandatory=mandatory)
    assert judgement.broken_G[2] is True
    assert None not in judgement.broken_G


def test_what_the_critic_learns_moves_its_verdict(engine):
    from kos.config import Adam
    from kos.rl.critic.labelled import Labelled, both_orders, lessons

    pair = Labelled("t", SPOKEN, ANSWERS[1], ANSWERS[0])
    asked = both_orders(pair, CLARITY)
    for _ in range(12):
        engine.forward_backward(lessons(engine, asked), CrossEntropy())
        engine.optim_step(Adam(learning_rate=2e-2))
    letters = [odds.letter() for odds in read_odds(engine, [one.messages for one in asked])]
    assert letters == ["a", "b"]


@pytest.mark.parametrize(
    ("odds", "letter"),
    [
        (Odds(-1.0, -2.0), "a"),
        (Odds(-2.0, -1.0), "b"),
        (Odds(-1.0, -1.0), None),
        (Odds(math.nan, -1.0), None),
        (Odds(-math.inf, -math.inf), None),
    ],
)
def test_odds_without_a_difference_are_no_verdict(odds, letter):
    assert odds.letter() == letter


def test_a_lesson_weighs_each_question_alike(engine):
    from kos.rl.critic.labelled import Labelled, both_orders, lessons

    asked = both_orders(Labelled("t", SPOKEN, "Rest.", "No."), CLARITY)
    data = lessons(engine, asked)
    assert [sum(datum.advantages) for datum in data] == [0.5, 0.5]
    assert all(isinstance(datum, Datum) and datum.num_actions == 1 for datum in data)
