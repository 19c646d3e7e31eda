"""What a step says of itself: its numbers, and in plain words why it taught nothing."""

from __future__ import annotations

from collections.abc import Iterator

from kos.events import Note
from kos.rl import metrics
from kos.rl.memory import Batch
from kos.rl.opening import Run
from kos.rl.updates import Update


def numbers_of(run: Run, batch: Batch, done: Update, *, seconds: float) -> dict[str, float]:
    """All numbers of a step; what was spent is added to the totals of the run.

    ``tokens/sampled``, ``tokens/prefill`` and the times are those of this iteration's work, the
    rest is of the batch that was learnt from. ``time/checkpoint`` is the one before this step.
    """
    spent, run.gathering.spent = run.gathering.spent, {}
    phases = ("sample", "grade", "reward")
    times = {f"time/{phase}": spent.pop(f"time/{phase}", 0.0) for phase in phases}
    times |= {"time/train": done.numbers["time/train"], "time/checkpoint": run.saving_seconds}
    times["time/wait"] = max(0.0, seconds - sum(times.values()) + run.saving_seconds)
    tokens = {"tokens/sampled": 0.0, "tokens/prefill": 0.0, **spent}
    tokens["tokens/trained"] = done.numbers["tokens/trained"]
    gathered = batch.numbers["tokens/gathered"]
    tokens["tokens/discarded"] = gathered - done.numbers["tokens/learnt"]
    run.memory.spend({**tokens, "time": seconds + run.saving_seconds})
    numbers = {
        **metrics.of_groups(batch.groups),
        **batch.numbers,
        **done.numbers,
        **tokens,
        **times,
        **{f"total/{name}": value for name, value in run.memory.totals.items()},
        "temperature": metrics.mean(group.temperature for group in batch.groups),
    }
    if times["time/sample"]:
        numbers["tokens/per_second"] = tokens["tokens/sampled"] / times["time/sample"]
    return numbers


def explain(batch: Batch, done: Update, step: int) -> Iterator[Note]:
    """Why a step taught nothing, in plain words."""
    if done.learnt:
        return
    groups = batch.groups
    if not groups:
        yield Note(f"Step {step}: no answer was finished yet, so there was nothing to learn.")
    elif done.numbers["staleness/dropped"]:
        yield Note(
            f"Step {step}: all answers were too old to learn from; raise rollouts.max_staleness, "
            "or sample fewer steps ahead.",
            "warning",
        )
    elif not any(group.graded for group in groups):
        yield Note(f"Step {step}: none of the answers could be graded.", "warning")
    else:
        reward = metrics.mean(value for group in groups for value in group.rewards)
        yield Note(
            f"Step {step}: nothing to learn, for in all {len(groups)} groups the answers earned "
            f"the same ({reward:.3f} on average): the prompts are too easy or too hard.",
            "warning",
        )
