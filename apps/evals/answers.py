"""A run's answers as ``kos.evals`` scores them: from rows, with people's overrides in force."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.db.models import Count, Max, TextField
from django.db.models.functions import Cast, Length

from apps.evals.models import Override
from apps.runs.models import Run
from apps.traces.models import Grade, Trace
from kos.data.rubrics import RubricTask
from kos.evals.scores import CENTER, COEFFICIENT, GradedAnswer, Mode, Scoring
from kos.events import ItemGrade


@dataclass(frozen=True)
class Prompt:
    """What a prompt is sliced by; no text of it."""

    tags: tuple[str, ...] = ()
    slices: Mapping[str, str] | None = None
    num_turns: int = 1
    item_tags: Mapping[str, tuple[str, ...]] | None = None


NOTHING = Prompt()


def of_run(run: Run, *, model: str = "", original: bool = False) -> list[GradedAnswer]:
    """The graded answers of an evaluation, in the order they are asked.

    ``original`` leaves overrides aside. Answers of a training's steps are not among them.
    """
    traces = Trace.objects.filter(run=run).order_by("model", "example_id", "sample")
    if model:
        traces = traces.filter(model=model)
    rows = traces.annotate(chars=Length("answer")).values_list(
        *("pk", "model", "example_id", "sample", "chars", "num_answer_tokens"),
        *("flags", "error", "is_restricted", "step"),
    )
    prompts = _prompts(run)
    items = _items(run, model, {} if original else overrides_of(run), prompts)
    return [
        _answer(row, items.get(row[0], ()), prompts.get(row[2], NOTHING))
        for row in rows.iterator(chunk_size=5000)
    ]


def overrides_of(run: Run) -> dict[int, bool]:
    """The verdicts of people that count, by grade id."""
    latest = Override.objects.latest_of(run).values_list("grade_id", "met")
    return {grade: met for grade, met in latest if met is not None}


def num_overridden(run: Run) -> dict[str, int]:
    """How many verdicts are a person's, by model."""
    found = Grade.objects.filter(pk__in=overrides_of(run)).order_by()
    return dict(found.values_list("trace__model").annotate(num=Count("pk")))


def models_of(run: Run) -> list[str]:
    """Who answered, in the order of the evaluation's inputs."""
    from_rows = Trace.objects.filter(run=run).order_by("model").values_list("model", flat=True)
    known = ("base", "warm_start", "trained", "exported")
    found = [*from_rows.distinct()]
    return sorted(found, key=lambda name: (known.index(name) if name in known else 9, name))


def mode_of(run: Run, wanted: str = "") -> Mode:
    """The mode asked for, else the one the run was started with."""
    configured = run.config.get("scoring", "healthbench")
    name = configured if isinstance(configured, str) else configured.get("name", "healthbench")
    known = ("healthbench", "healthbench_len", "unit", "raw")
    chosen = wanted if wanted in known else name if name in known else "healthbench"
    center = run.config.get("length_center", CENTER)
    coef = run.config.get("length_coefficient", COEFFICIENT)
    return Mode(cast(Scoring, chosen), float(center), float(coef))


def basis_of(run: Run) -> str:
    """Names the grades a number is made from: it changes with every answer, grade and override."""
    traces = Trace.objects.filter(run=run).order_by()
    found = traces.aggregate(num=Count("pk"), last=Max("pk"))
    grades = Grade.objects.filter(trace__run=run).order_by()
    last_grade = grades.aggregate(last=Max("pk"))["last"] or 0
    overrides = Override.objects.filter(grade__trace__run=run).order_by()
    last = overrides.aggregate(last=Max("pk"))["last"] or 0
    return f"{found['num']}.{found['last'] or 0}.{last_grade}.{last}"


def _prompts(run: Run) -> dict[str, Prompt]:
    if run.dataset is None:
        return {}
    asked = Trace.objects.filter(run=run).order_by().values("example_id").distinct()
    examples = run.dataset.examples.filter(external_id__in=asked)
    rows = examples.values_list("external_id", "task").iterator(chunk_size=500)
    return {name: _prompt(RubricTask.model_validate(task)) for name, task in rows}


def _prompt(task: RubricTask) -> Prompt:
    return Prompt(
        tags=task.tags,
        slices=task.slices,
        num_turns=task.n_turns,
        item_tags={item.key: item.tags for item in task.rubric if item.tags},
    )


def _items(
    run: Run, model: str, overrides: Mapping[int, bool], prompts: Mapping[str, Prompt]
) -> dict[int, tuple[ItemGrade, ...]]:
    grades = Grade.objects.filter(trace__run=run).order_by("trace_id", "position")
    if model:
        grades = grades.filter(trace__model=model)
    # The tags of a hundred thousand grades are a few dozen texts: each is parsed once.
    rows = grades.annotate(said=Cast("tags", TextField())).values_list(
        *("trace_id", "pk", "trace__example_id", "key", "text", "points", "met", "grader", "said")
    )
    parsed: dict[str, tuple[str, ...]] = {}
    found: dict[int, list[ItemGrade]] = defaultdict(list)
    for trace, pk, example, key, text, points, met, grader, said in rows.iterator(chunk_size=5000):
        item_tags = prompts.get(example, NOTHING).item_tags or {}
        tags = parsed.get(said)
        if tags is None:
            tags = parsed[said] = tuple(json.loads(said))
        found[trace].append(
            ItemGrade(
                key=key,
                text=text,
                points=points,
                met=overrides.get(pk, met),
                grader=grader,
                tags=tags or item_tags.get(key, ()),
            )
        )
    return {trace: tuple(items) for trace, items in found.items()}


def _answer(row: Sequence[Any], items: tuple[ItemGrade, ...], prompt: Prompt) -> GradedAnswer:
    _, model, example, sample, chars, num_tokens, flags, error, is_restricted, step = row
    return GradedAnswer(
        prompt_id=example,
        model=model,
        sample=sample,
        items=items,
        chars=chars,
        num_tokens=num_tokens,
        flags=tuple(flags),
        error=error,
        example_tags=prompt.tags,
        slices=prompt.slices or {},
        restricted=is_restricted,
        num_turns=prompt.num_turns,
        step=step,
    )
