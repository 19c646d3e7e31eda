"""The rules of a training's diagnosis: what each looks at, its bounds, and what it says.

A rule looks at the last few steps, some against the first ones. It is silent where a metric is
absent.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from apps.runs.figures.numbers import (
    PHASES,
    RECENT,
    START,
    Finding,
    Level,
    Numbers,
    Setup,
    good_step,
    percent,
    spike_in,
)

EQUAL_WARN, EQUAL_BAD = 0.5, 0.85
EASY, HARD = 0.8, 0.2
BONUS_SHARE = 0.7
# Tinker's rule of thumb for a healthy run: KL below 0.01.
KL_WARN = 0.01
# MiniMax-M1, section 3.2: 0.987 did not learn, 0.997 (after the FP32 head) did.
CORRELATION_WARN, CORRELATION_BAD = 0.99, 0.95
CLIPPED = 0.3
ENTROPY_FELL, ENTROPY_ROSE = 0.3, 2.0
# Where nearly every token is left to chance, in nats.
ENTROPY_HIGH = 6.0
FALL = 0.5
CUT_WARN, CUT_BAD = 0.25, 0.6
REPEATED = 0.1
DISCARDED = 0.3
DROPPED = 0.2
STALE = 4.0
WAITING = 0.3

Rule = Callable[[Numbers, Setup], "Finding | None"]


def equal_groups(numbers: Numbers, setup: Setup) -> Finding | None:
    share = numbers.recent("groups/equal")
    if share is None or share < EQUAL_WARN:
        return None
    score = numbers.recent("reward/part/rubric", "reward/rubric")
    count = f"{round(share * setup.groups)} of {setup.groups}" if setup.groups else percent(share)
    level: Level = "bad" if share >= EQUAL_BAD else "warn"
    said = f"{count} groups have equal rewards: "
    if score is not None and score >= EASY:
        advice = "Take harder prompts: prioritised or curriculum sampling, or a difficulty pool."
        return Finding(level, f"{said}prompts too easy.", advice, "reward")
    if score is not None and score <= HARD:
        advice = "Take easier prompts, or warm the model up with an SFT run on such answers first."
        return Finding(level, f"{said}prompts too hard.", advice, "reward")
    advice = "Raise the temperature or the group size, or refill equal groups with other prompts."
    return Finding(level, f"{said}answers too much alike.", advice, "reward")


def closed_gate(numbers: Numbers, setup: Setup) -> Finding | None:
    passed = [value for _, value in numbers.known("gate/pass_rate")][-RECENT:]
    if len(passed) < 3 or max(passed) > 0:
        return None
    score = numbers.recent("reward/part/rubric", "reward/rubric")
    about = f", and answers score {score:.2f} on average" if score is not None else ""
    return Finding(
        "warn",
        f"The gate never opened in {numbers.span()}{about}: the bonus teaches nothing.",
        "Lower the gate below the score of a good answer, or train without the bonus first.",
        "reward",
    )


def bonus_dominates(numbers: Numbers, setup: Setup) -> Finding | None:
    rubric, bonus = numbers.recent("variance/rubric"), numbers.recent("variance/bonus")
    if rubric is None or bonus is None or bonus <= 0 or bonus / (rubric + bonus) < BONUS_SHARE:
        return None
    return Finding(
        "warn",
        f"{percent(bonus / (rubric + bonus))} of the spread within groups comes from the bonus: "
        "the policy learns length, not quality.",
        "Lower the bonus's beta, or raise the gate so that only good answers earn it.",
        "reward",
    )


def mismatch(numbers: Numbers, setup: Setup) -> Finding | None:
    # Of the first substep: in later ones the policy itself has moved.
    kl = numbers.recent("kl/v2/substep/1", "kl/sample_train_v2")
    alike = numbers.recent("kl/correlation/substep/1", "kl/correlation")
    advice = (
        "Compare the sampler's digits and weights with the trainer's: an output head in FP32, the "
        "same temperature on both sides, and a sampler that really has the newest weights."
    )
    if alike is not None and alike < CORRELATION_WARN:
        level: Level = "bad" if alike < CORRELATION_BAD else "warn"
        said = f"Sampler and trainer disagree: their probabilities correlate at {alike:.3f} only."
        return Finding(level, said, advice, "policy")
    if kl is not None and kl > KL_WARN:
        level = "bad" if setup.kl and kl > setup.kl else "warn"
        said = f"Sampler and trainer disagree: KL {kl:.3g}, where {KL_WARN:g} is healthy."
        return Finding(level, said, advice, "policy")
    return None


def clipped(numbers: Numbers, setup: Setup) -> Finding | None:
    share = numbers.recent("ratio/clip_fraction")
    if share is None or share < CLIPPED:
        return None
    return Finding(
        "warn",
        f"{percent(share)} of the tokens are clipped: most of what was sampled teaches nothing.",
        "Take fewer substeps an iteration, a smaller learning rate, or wider bounds.",
        "policy",
    )


def entropy(numbers: Numbers, setup: Setup) -> Finding | None:
    now, start = numbers.recent("entropy"), numbers.start("entropy")
    if now is None:
        return None
    good = good_step(numbers, "entropy")
    was = f", it was {start:.2f}" if start is not None else ""
    if now < setup.entropy or (start is not None and now < ENTROPY_FELL * start):
        return Finding(
            "bad",
            f"Entropy collapsed to {now:.3f} nats a token{was}: answers hardly differ any more.",
            "Roll back, then lower the learning rate, raise the temperature, or widen the upper "
            "clip bound.",
            "policy",
            good,
        )
    if now > ENTROPY_HIGH or (start is not None and now > ENTROPY_ROSE * start):
        return Finding(
            "bad",
            f"Entropy grew to {now:.2f} nats a token{was}: the policy is falling apart.",
            "Roll back, then lower the learning rate, or add a PTX term on curated answers.",
            "policy",
            good,
        )
    return None


def spike(numbers: Numbers, setup: Setup) -> Finding | None:
    for name, what in (("grad_norm", "gradient norm"), ("loss", "loss")):
        values = [abs(value) for _, value in numbers.known(name)]
        place = spike_in(values, times=setup.loss_spike) if setup.loss_spike else None
        if place is None:
            continue
        number, value = numbers.known(name)[place]
        before = numbers.known(name)[place - 1][0]
        return Finding(
            "bad",
            f"The {what} jumped to {value:.3g} at step {number}, far beyond the steps before it.",
            f"Roll back to step {before} or earlier, and go on with a smaller learning rate or a "
            "gradient clip.",
            "policy",
            before,
        )
    return None


def not_finite(numbers: Numbers, setup: Setup) -> Finding | None:
    newest = numbers.steps[-1]
    broken = [name for name, value in newest.metrics.items() if value is None]
    if not any(name in ("loss", "grad_norm") for name in broken):
        return None
    return Finding(
        "bad",
        f"The loss or its gradient is not a number at step {newest.number}.",
        "Roll back to before it, with a smaller learning rate or a gradient clip.",
        "policy",
        newest.number - 1,
    )


def reward_fell(numbers: Numbers, setup: Setup) -> Finding | None:
    values = numbers.known("reward/mean")
    if len(values) < START + RECENT:
        return None
    means = [fmean(v for _, v in values[i : i + RECENT]) for i in range(len(values) - RECENT + 1)]
    best = max(range(len(means)), key=means.__getitem__)
    if means[best] <= 0 or means[-1] > FALL * means[best]:
        return None
    good = values[best + RECENT - 1][0]
    return Finding(
        "bad",
        f"The reward fell from {means[best]:.2f} around step {good} to {means[-1]:.2f}.",
        f"Roll back to step {good} or before, and go on with a smaller learning rate.",
        "reward",
        good,
    )


def cut(numbers: Numbers, setup: Setup) -> Finding | None:
    share = numbers.recent("length/cut")
    if share is None or share < CUT_WARN:
        return None
    cap = f" of {setup.max_tokens:,} tokens" if setup.max_tokens else ""
    return Finding(
        "bad" if share >= CUT_BAD else "warn",
        f"{percent(share)} of the answers end at the cap{cap}: they are graded unfinished.",
        "Raise max tokens, or let a length reward or an earlier warm start shorten the answers.",
        "lengths",
    )


def repeated(numbers: Numbers, setup: Setup) -> Finding | None:
    share = numbers.recent("stop/repetition")
    if share is None or share < REPEATED:
        return None
    return Finding(
        "warn",
        f"{percent(share)} of the answers were ended because they repeat themselves.",
        "Add the repetition penalty to the rewards, or roll back to before the loops.",
        "lengths",
    )


def ungraded(numbers: Numbers, setup: Setup) -> Finding | None:
    share = numbers.recent("ungraded")
    if share is None or share <= setup.ungraded_alarm:
        return None
    return Finding(
        "bad",
        f"{percent(share)} of the answers have no grade: they are left out, not counted as 0.",
        "See what the grader says under Rollouts; a judge may be overloaded or misread its form.",
        "reward",
    )


def discarded(numbers: Numbers, setup: Setup) -> Finding | None:
    lost, sampled = numbers.recent("tokens/discarded"), numbers.recent("tokens/sampled")
    if not lost or not sampled or lost / sampled < DISCARDED:
        return None
    return Finding(
        "warn",
        f"{percent(lost / sampled)} of the sampled tokens are thrown away.",
        "Equal groups, stale answers and ungraded ones cost tokens: mend the largest of the three.",
        "cost",
    )


def stale(numbers: Numbers, setup: Setup) -> Finding | None:
    dropped, age = numbers.recent("staleness/dropped"), numbers.recent("staleness/mean")
    if dropped and setup.answers and dropped / setup.answers >= DROPPED:
        said = f"{percent(dropped / setup.answers)} of the answers were dropped as too old."
        bound = f" (now {setup.max_staleness})" if setup.max_staleness else ""
        return Finding(
            "warn", said, f"Sample fewer iterations ahead, or raise max staleness{bound}.", "cost"
        )
    if age is not None and age > STALE:
        said = f"Answers are {age:.1f} updates old on average when they are learnt from."
        return Finding(
            "warn", said, "Sample fewer iterations ahead, or take fewer substeps.", "cost"
        )
    return None


def waiting(numbers: Numbers, setup: Setup) -> Finding | None:
    spent = {name: numbers.recent(f"time/{name}") or 0.0 for name in PHASES}
    whole = sum(spent.values())
    if not whole or spent["wait"] / whole < WAITING:
        return None
    return Finding(
        "info",
        f"{percent(spent['wait'] / whole)} of a step is spent waiting.",
        "The sampler and the trainer take turns: sample ahead, or give the slower one more.",
        "cost",
    )


RULES: tuple[Rule, ...] = (
    not_finite,
    spike,
    reward_fell,
    entropy,
    ungraded,
    equal_groups,
    closed_gate,
    bonus_dominates,
    mismatch,
    clipped,
    cut,
    repeated,
    discarded,
    stale,
    waiting,
)
