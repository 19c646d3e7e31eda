from __future__ import annotations

from typing import Any

import pytest

from kos.config import Train
from kos.rl.costs import Prices, Rates, Tokens, duration, estimate, short

# 10 iterations of 4 prompts of 100 tokens with 8 answers of 50: 40 groups, 320 answers.
SHAPE: dict[str, Any] = {
    "kind": "train",
    "steps": 10,
    "groups": 4,
    "group_size": 8,
    "substeps": 2,
    "sampling": {"max_tokens": 50},
}
PLAIN = Tokens(prefill=4_000, cached=28_000, sampled=16_000, trained=48_000)
PRICES = Prices(1.0, 0.2, 3.0, 5.0, "the price list of 1 May")
RATES = Rates(100, 10, 20, "measured on the machine under the desk")


def cost(prompts: Any = 100, /, *, given: dict[str, Any] | None = None, **knobs: Any):
    return estimate(Train.model_validate(SHAPE | knobs), prompts=prompts, **(given or {}))


def test_tokens_of_the_four_kinds():
    assert cost().tokens == PLAIN
    assert (cost().answers, cost().iterations) == (320, 10)


def test_prompts_may_be_given_one_by_one():
    assert cost([50, 150]).tokens == PLAIN


def test_money_is_tokens_by_their_prices():
    # (4,000 * 1 + 28,000 * 0.2 + 16,000 * 3 + 48,000 * 5) / 1,000,000
    assert cost(given={"prices": PRICES}).dollars == pytest.approx(0.2976)


def test_time_is_tokens_by_their_speed_and_what_is_cached_takes_none():
    # 4,000 / 100 + 16,000 / 10 + 48,000 / 20
    assert cost(given={"rates": RATES}).seconds == pytest.approx(40 + 1600 + 2400)


def test_shorter_answers_cost_less_and_none_is_longer_than_it_may_be():
    assert cost(given={"answer_tokens": 20}).tokens.sampled == 6_400
    assert cost(given={"answer_tokens": 90}).tokens == PLAIN


@pytest.mark.parametrize(
    ("knobs", "changed"),
    [
        ({"rewards": [{"kind": "budget", "tokens": 20}]}, {"sampled": 6_400, "trained": 38_400}),
        ({"rewards": [{"kind": "budget", "tokens": 20, "by_tag": ["a: 40"]}]}, {}),
        ({"rollouts": {"token_budget": 1_000}}, {"sampled": 10_000, "trained": 42_000}),
        ({"ptx": {"weight": 0.1, "batch_size": 3}}, {"trained": 48_000 + 10 * 2 * 3 * 150}),
        # 56 comparisons a group, each of the prompt, two answers and the rubrics.
        ({"rewards": [{"kind": "self_critique"}]}, {"prefill": 4_000 + 40 * 56 * 800}),
    ],
)
def test_what_a_config_adds_or_saves(knobs, changed):
    assert cost(**knobs).tokens == PLAIN._replace(**changed)


@pytest.mark.parametrize(("loss", "extra"), [("cispo", 0), ("kimi_k2", 48_000), ("gspo", 48_000)])
def test_a_loss_that_the_service_lacks_is_read_first(loss, extra):
    config = cost(engine={"kind": "tinker"}, loss={"kind": loss})
    assert config.tokens == PLAIN._replace(prefill=4_000 + extra)


def test_sentences_name_tokens_money_and_time():
    told = cost(given={"prices": PRICES, "rates": RATES}).describe()
    assert told[0] == (
        "320 answers in 10 iterations: 4.0 thousand tokens read, 28.0 thousand read again from "
        "the cache, 16.0 thousand sampled, 48.0 thousand trained on."
    )
    assert told[1] == "About $0.30 by these prices: the price list of 1 May."
    assert told[2].startswith("About 67 minutes, an estimate from 100 tokens a second read")
    assert told[3] == "Every answer is taken to be as long as it may, 50 tokens: an upper bound."


def test_without_prices_no_sum_is_named():
    assert cost().dollars is None
    assert cost().describe()[1] == "No price is known, so no sum can be named."


def test_a_judge_is_said_to_be_left_out():
    assert "What the judge costs is not counted." not in cost().describe()
    assert "What the judge costs is not counted." in cost(grader={"kind": "judge"}).describe()


@pytest.mark.parametrize(
    ("count", "text"),
    [(950, "950"), (12_500, "12.5 thousand"), (3_200_000, "3.2 million"), (2.5e9, "2.5 billion")],
)
def test_numbers_of_tokens_are_said_in_short(count, text):
    assert short(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(90, "90 seconds"), (600, "10 minutes"), (9_000, "2.5 hours"), (432_000, "5.0 days")],
)
def test_times_are_said_in_the_unit_that_suits_them(seconds, text):
    assert duration(seconds) == text
