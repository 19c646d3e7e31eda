"""What a training would cost before it starts: tokens of four kinds, money and time.

Everything is an upper bound from the config's own limits, unless a typical length of answers is
given. Prices and speeds are the caller's: Kos knows no price list, for they change by the month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from kos.config.training import Train
from kos.engine.choices import Tinker
from kos.rl.critic.choices import PolicyItself
from kos.rl.rewards.budget import Budget
from kos.rl.rewards.self_critique import SelfCritique

MILLION = 1_000_000
HOUR = 3600
# What the critic reads beside two answers: its rubrics and how to reply.
CRITIC_TOKENS = 600


class Tokens(NamedTuple):
    """Tokens by what happens to them.

    ``prefill`` are read for the first time, ``cached`` read again where the group's first answer
    left them, ``sampled`` are drawn, ``trained`` go through forward and backward.
    """

    prefill: float
    cached: float
    sampled: float
    trained: float


class Prices(NamedTuple):
    """Dollars for a million tokens of each kind, and where the prices stand."""

    prefill: float
    cached: float
    sampled: float
    trained: float
    source: str


class Rates(NamedTuple):
    """Tokens a second, and where the numbers come from. What is cached takes no time."""

    prefill: float
    sampled: float
    trained: float
    source: str


# By engine; where there is nothing, nobody has measured and nothing is assumed.
RATES: Mapping[str, Rates] = {
    "local": Rates(
        1000,
        100,
        250,
        "SmolLM2-135M on two CPU cores: sampling as measured by benchmarks/sampling.py, reading "
        "and training assumed",
    ),
    "tinker": Rates(
        30_000,
        1_500,
        10_000,
        "reading and sampling as Fireworks' public calculator assumes them of Kimi K2.5 on eight "
        "B300, training assumed at a third of reading",
    ),
}


@dataclass(frozen=True)
class Cost:
    """An estimate. ``dollars`` and ``seconds`` are None where no price or speed is known."""

    tokens: Tokens
    answers: int
    iterations: int
    dollars: float | None
    seconds: float | None
    prices: Prices | None
    rates: Rates | None
    notes: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """The estimate in sentences: tokens, money, time, then what it rests on."""
        return [self._of_tokens(), self._of_money(), self._of_time(), *self.notes]

    def _of_tokens(self) -> str:
        tokens = self.tokens
        return (
            f"{self.answers:,} answers in {self.iterations:,} iterations: "
            f"{short(tokens.prefill)} tokens read, {short(tokens.cached)} read again from the "
            f"cache, {short(tokens.sampled)} sampled, {short(tokens.trained)} trained on."
        )

    def _of_money(self) -> str:
        if self.dollars is None or self.prices is None:
            return "No price is known, so no sum can be named."
        return f"About ${self.dollars:,.2f} by these prices: {self.prices.source}."

    def _of_time(self) -> str:
        if self.seconds is None or self.rates is None:
            return "No speed is known for this engine, so no time can be named."
        rates = self.rates
        return (
            f"About {duration(self.seconds)}, an estimate from {rates.prefill:,.0f} tokens a "
            f"second read, {rates.sampled:,.0f} sampled and {rates.trained:,.0f} trained on "
            f"({rates.source})."
        )


def estimate(
    config: Train,
    *,
    prompts: Sequence[int] | float,
    answer_tokens: float | None = None,
    prices: Prices | None = None,
    rates: Rates | None = None,
) -> Cost:
    """What ``config`` would cost.

    ``prompts`` are the lengths of the prompts in tokens, the system prompt included, or their
    mean. ``answer_tokens`` is the mean length of an answer; without it every answer is as long as
    it may be. ``rates`` default to what is known of the engine.
    """
    prompt = fmean(prompts) if isinstance(prompts, Sequence) else float(prompts)
    longest = _longest(config)
    answer = longest if answer_tokens is None else min(answer_tokens, longest)
    tokens = _tokens(config, prompt, answer)
    rates = rates or RATES.get(config.engine.kind)
    return Cost(
        tokens=tokens,
        answers=config.steps * config.groups * config.group_size,
        iterations=config.steps,
        dollars=None if prices is None else _dollars(tokens, prices),
        seconds=None if rates is None else _seconds(tokens, rates),
        prices=prices,
        rates=rates,
        notes=tuple(_notes(config, answer, is_given=answer_tokens is not None)),
    )


def _tokens(config: Train, prompt: float, answer: float) -> Tokens:
    groups = config.steps * config.groups
    answers = groups * config.group_size
    sampled = answers * answer
    if config.rollouts.token_budget:
        sampled = min(sampled, config.steps * config.rollouts.token_budget)
    trained = answers * prompt + sampled
    if config.ptx.weight:
        trained += config.steps * config.substeps * config.ptx.batch_size * (prompt + answer)
    prefill = groups * prompt + _critic(config) * groups * (prompt + 2 * answer + CRITIC_TOKENS)
    if _is_read_first(config):
        prefill += trained
    return Tokens(prefill, groups * (config.group_size - 1) * prompt, sampled, trained)


def _is_read_first(config: Train) -> bool:
    """Whether a service lacks the loss, so that it is asked for log-probabilities first."""
    if not isinstance(config.engine, Tinker):
        return False
    wire = config.loss.wire()
    return wire is None or wire.name not in config.engine.losses


def _critic(config: Train) -> int:
    """Comparisons a group that the policy itself makes: every pair, in both orders."""
    critics = [
        stage
        for stage in config.rewards
        if isinstance(stage, SelfCritique) and isinstance(stage.critic, PolicyItself)
    ]
    return len(critics) * config.group_size * (config.group_size - 1)


def _longest(config: Train) -> float:
    """The most an answer may have; a budget for all tasks lowers it."""
    budgets = [
        stage.tokens
        for stage in config.rewards
        if isinstance(stage, Budget) and stage.tokens and not stage.budgets
    ]
    return min([config.sampling.max_tokens, *budgets])


def _dollars(tokens: Tokens, prices: Prices) -> float:
    return (
        tokens.prefill * prices.prefill
        + tokens.cached * prices.cached
        + tokens.sampled * prices.sampled
        + tokens.trained * prices.trained
    ) / MILLION


def _seconds(tokens: Tokens, rates: Rates) -> float:
    return (
        tokens.prefill / rates.prefill
        + tokens.sampled / rates.sampled
        + tokens.trained / rates.trained
    )


def _notes(config: Train, answer: float, *, is_given: bool) -> list[str]:
    """What the numbers rest on, and what they leave out."""
    notes = [
        f"Answers are taken to have {answer:,.0f} tokens on average."
        if is_given
        else f"Every answer is taken to be as long as it may, {answer:,.0f} tokens: an upper bound."
    ]
    if config.rollouts.equal_groups == "drop":
        notes.append("Groups of equal rewards are not trained on, which makes it cheaper.")
    if config.rollouts.equal_groups == "refill":
        most = config.rollouts.max_refills
        notes.append(f"Refilling equal groups is not counted; it is done up to {most} times.")
    if config.tools.names and config.tools.share:
        notes.append(
            f"Prompts asked with tools take up to {config.tools.max_turns} generations, each of "
            "which reads what came before; that is not counted."
        )
    if config.ptx.weight:
        notes.append("Curated answers are taken to be as long as the policy's.")
    if _critic(config):
        notes.append("The policy's comparisons as critic are counted as read.")
    if config.grader.kind != "embedded":
        notes.append("What the judge costs is not counted.")
    return notes


def short(count: float) -> str:
    """A number of tokens as people say it: 950, 12.5 thousand, 3.2 million."""
    for size, name in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if count >= size:
            return f"{count / size:,.1f}{name}"
    return f"{count:,.0f}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} minutes"
    return (
        f"{seconds / HOUR:.1f} hours" if seconds < 48 * HOUR else f"{seconds / HOUR / 24:.1f} days"
    )
