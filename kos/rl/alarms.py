"""What is wrong with a run, said while it can still be mended: Notes, and a metric for each."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from kos.config.training import Train
from kos.events import Note

WINDOW = 20
# Fewer steps than this say nothing about what is usual.
LEAST = 5
# The median distance of a normal distribution, in deviations, and a floor for flat curves.
FLOOR = 1e-3


def check(
    config: Train, numbers: Mapping[str, float], history: dict[str, list[float]], step: int
) -> tuple[dict[str, float], list[Note]]:
    """The alarms of a step: 1 or 0 by name (``alarm/...``), and what to say of them.

    Changes ``history``, which lies in the checkpoint.
    """
    notes: dict[str, Note | None] = {
        "loss_spike": _spike(config, numbers, history, step),
        "collapse": _collapse(config, numbers, step),
        "equal": _equal(config, numbers, history, step),
        "kl": _mismatch(config, numbers, step),
        "ungraded": _ungraded(config, numbers, step),
    }
    raised = {f"alarm/{name}": float(note is not None) for name, note in notes.items()}
    return raised, [note for note in notes.values() if note is not None]


def _spike(
    config: Train, numbers: Mapping[str, float], history: dict[str, list[float]], step: int
) -> Note | None:
    """Loss or gradient norm far from what it was; a step without an update counts for nothing."""
    if not numbers.get("tokens/learnt"):
        return None
    found = None
    for name in ("loss", "grad_norm"):
        past = history.get(name, [])
        limit = config.alarms.loss_spike * _usual(past)
        value = numbers[name]
        is_spike = (
            bool(config.alarms.loss_spike)
            and len(past) >= LEAST
            and not abs(value - median(past)) <= limit
        )
        if is_spike:
            found = Note(
                f"Step {step}: {name} is {value:.4g} where {median(past):.4g} was usual. If "
                "rewards fall from here, go back to a kept checkpoint and lower the learning "
                "rate, or set adam.clip_norm.",
                "error",
            )
        history[name] = [*past, value][-WINDOW:]
    return found


def _usual(past: list[float]) -> float:
    """The median distance from the median, never 0."""
    if not past:
        return FLOOR
    middle = median(past)
    return max(median(abs(value - middle) for value in past), FLOOR, abs(middle) * FLOOR)


def _collapse(config: Train, numbers: Mapping[str, float], step: int) -> Note | None:
    limit = config.alarms.entropy
    if not limit or not numbers.get("tokens/learnt") or numbers["entropy"] >= limit:
        return None
    return Note(
        f"Step {step}: entropy is {numbers['entropy']:.4f} nats a token, under the {limit:g} of "
        "the alarm. The policy says nearly the same every time and explores no more: go back to "
        "a kept checkpoint, raise the temperature or lower the learning rate.",
        "error",
    )


def _equal(
    config: Train, numbers: Mapping[str, float], history: dict[str, list[float]], step: int
) -> Note | None:
    wanted = config.alarms.equal_steps
    is_flat = bool(numbers.get("groups/count")) and numbers["reward/std"] == 0
    streak = history.get("flat", [0.0])[0] + 1 if is_flat else 0.0
    history["flat"] = [streak]
    if not wanted or streak < wanted:
        return None
    return Note(
        f"Step {step}: for {streak:g} steps in a row all answers have earned the same "
        f"({numbers['reward/mean']:.3f}). Nothing can be learnt from that: choose harder or "
        "easier prompts, or look at the grader.",
        "error",
    )


def _mismatch(config: Train, numbers: Mapping[str, float], step: int) -> Note | None:
    found = numbers.get("kl/v2/substep/1", 0.0)
    if not config.alarms.kl or found <= config.alarms.kl:
        return None
    return Note(
        f"Step {step}: sampler and trainer differ by a KL of {found:.4f} in the first substep, "
        f"over the {config.alarms.kl:g} of the alarm. Answers are too old for the policy, or the "
        "sampler has other weights than the trainer.",
        "error",
    )


def _ungraded(config: Train, numbers: Mapping[str, float], step: int) -> Note | None:
    share, limit = numbers.get("ungraded", 0.0), config.rollouts.ungraded_alarm
    if share <= limit:
        return None
    return Note(
        f"Step {step}: {share:.0%} of the answers could not be graded and were left out; the "
        f"alarm is at {limit:.0%}. Look at the grader: its answers, its key, its time limit.",
        "error",
    )
