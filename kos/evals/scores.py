"""From graded answers to the numbers of an evaluation, by model and by slice.

Source: openai/simple-evals, healthbench_eval.py (mean over examples, then clip); HealthBench
Professional sec. 4.1 (samples of a prompt are averaged first).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from kos.data.rubrics import RubricTask
from kos.evals.statistics import Estimate, estimate
from kos.events import RolloutDone
from kos.grading.score import clip_unit

Scoring = Literal["healthbench", "unit", "raw"]


@dataclass(frozen=True)
class SliceScore:
    """One model over one slice. ``value`` is the headline, ``estimate`` the unclipped mean."""

    model: str
    slice: str
    mode: str
    value: float | None
    estimate: Estimate | None
    num_prompts: int
    num_answers: int
    num_ungraded: int


def slice_scores(
    answers: Sequence[RolloutDone], tasks: Mapping[str, RubricTask], *, mode: Scoring
) -> list[SliceScore]:
    """Scores of every model over all prompts and over each slice they fall in."""
    places: dict[tuple[str, str], list[RolloutDone]] = defaultdict(list)
    for answer in answers:
        for name in slices_of(tasks[answer.example_id]):
            places[answer.model, name].append(answer)
    return [_score(model, name, group, mode) for (model, name), group in places.items()]


def slices_of(task: RubricTask) -> list[str]:
    """The slices a prompt falls in, "all" first; a field without a value makes none."""
    slices = ["all"]
    if task.use_case != "other":
        slices.append(f"use case: {task.use_case}")
    if task.type != "other":
        slices.append(f"slice: {task.type} {task.difficulty}".replace("_", " "))
    slices += [
        f"theme: {tag.removeprefix('theme:')}" for tag in task.tags if tag.startswith("theme:")
    ]
    return slices


def prompt_means(answers: Iterable[RolloutDone], mode: Scoring = "raw") -> dict[str, float]:
    """Mean score of each prompt over its graded samples; prompts without one are left out."""
    values: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        score = measured(answer)
        if score is not None:
            values[answer.example_id].append(clip_unit(score) if mode == "unit" else score)
    return {prompt: fmean(scores) for prompt, scores in values.items()}


def measured(answer: RolloutDone) -> float | None:
    """The answer's score or, where only words were compared, its screening share."""
    return answer.score if answer.score is not None else answer.components.get("screening")


def _score(model: str, name: str, answers: list[RolloutDone], mode: Scoring) -> SliceScore:
    found = estimate(list(prompt_means(answers, mode).values()))
    value = None if found is None else found.mean
    if value is not None and mode == "healthbench":
        value = clip_unit(value)
    return SliceScore(
        model=model,
        slice=name,
        mode=mode,
        value=value,
        estimate=found,
        num_prompts=len({answer.example_id for answer in answers}),
        num_answers=len(answers),
        num_ungraded=sum(answer.score is None for answer in answers),
    )
