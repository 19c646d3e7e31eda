"""What is known of judges: their calibrations, and how far each agreed with people.

A calibration belongs to the judge whose address, model and way of asking it was started with,
whichever page or call started it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import Prefetch, QuerySet
from django.urls import reverse

from apps.evals import computing
from apps.evals.models import Judge
from apps.runs.models import Artifact, Run
from kos.errors import UserError
from kos.evals import calibration
from kos.evals.calibrate import read_verdicts
from kos.evals.references import Reference, references

# Fewer pairs say nothing: kappa's interval spans half the scale.
FEW = 30
# A page waits for these draws once; the job's own intervals take more.
DRAWS = 400
SAME = ("url", "model", "asks")


class Calibration(NamedTuple):
    """A run that held a judge against people; ``report`` is None until it is done."""

    run: Run
    artifact: Artifact | None
    report: dict[str, Any] | None


def calibrations() -> QuerySet[Run]:
    """All of them, newest first, with their reports."""
    reports = Artifact.objects.filter(kind=Artifact.Kind.REPORT)
    runs = Run.objects.filter(kind="calibrate").select_related("label_set", "owner")
    return runs.prefetch_related(Prefetch("artifacts", queryset=reports, to_attr="reports"))


def calibrations_of(judge: Judge) -> list[Calibration]:
    """The judge's own, newest first."""
    wanted = {f"config__judge__{name}": getattr(judge, name) for name in SAME}
    return [_calibration(run) for run in calibrations().filter(**wanted)]


def latest_by_judge(judges: list[Judge]) -> list[tuple[Judge, Calibration | None]]:
    """Each judge with its newest finished calibration."""
    found: dict[tuple[Any, ...], list[Calibration]] = defaultdict(list)
    for run in calibrations().filter(artifacts__kind=Artifact.Kind.REPORT).distinct():
        told = run.config["judge"]
        found[tuple(told.get(name) for name in SAME)].append(_calibration(run))
    keys = [tuple(getattr(judge, name) for name in SAME) for judge in judges]
    return [
        (judge, next(iter(found.get(key, [])), None))
        for judge, key in zip(judges, keys, strict=True)
    ]


def of_run(run: Run) -> tuple[Judge, Calibration | None] | None:
    """The judge that grades an evaluation, with its newest calibration; None if nobody saved it."""
    told = run.config.get("grader") or {}
    if told.get("kind") != "judge":
        return None
    of_place = Judge.objects.filter(url=told.get("url"), model=told.get("model"))
    judge = of_place.filter(asks=told.get("asks")).first() or of_place.first()
    return None if judge is None else latest_by_judge([judge])[0]


def published() -> list[Reference]:
    """Agreement of graders that others measured, best first."""
    rows = [row for row in references() if row.benchmark == "healthbench_meta"]
    return sorted(rows, key=lambda row: -row.value)


def evaluation_with(judge: Judge) -> str:
    """Where an evaluation begins with this judge chosen."""
    knobs = judge.grader.model_dump(mode="json", exclude_defaults=True) | {"kind": "judge"}
    told = {f"grader-{name}": value for name, value in knobs.items()}
    return f"{reverse('runs:new', args=['evaluate'])}?{urlencode(told)}"


class Shared(NamedTuple):
    """Two judges' newest calibrations on one label set."""

    label_set: Any
    first: Calibration
    second: Calibration


def shared_sets(first: Judge, second: Judge) -> list[Shared]:
    """The label sets that both were held against."""
    ours, theirs = _by_set(first), _by_set(second)
    return [Shared(ours[pk].run.label_set, ours[pk], theirs[pk]) for pk in ours if pk in theirs]


def compared(shared: Shared) -> dict[str, Any]:
    """Both on the rows that both graded. UserError when a run's verdicts are gone."""
    first, second = shared.first.artifact, shared.second.artifact
    assert first is not None and second is not None
    for one in (first, second):
        if not one.location.exists():
            raise UserError(
                f"The verdicts of run {one.run_id} are no longer kept: calibrate again."
            )

    def make() -> dict[str, Any]:
        rows = [read_verdicts(one.location) for one in (first, second)]
        return calibration.compare(*rows, seed=shared.second.run.seed, draws=DRAWS)

    basis = f"{first.digest},{second.digest}"
    found = computing.of_run(shared.second.run, f"judges:{first.pk}", make, basis)
    return dict(found.data)


def _by_set(judge: Judge) -> dict[int, Calibration]:
    found: dict[int, Calibration] = {}
    for one in calibrations_of(judge):
        if one.report is not None and one.run.label_set_id is not None:
            found.setdefault(one.run.label_set_id, one)
    return found


def _calibration(run: Any) -> Calibration:
    artifact = run.reports[0] if run.reports else None
    return Calibration(run, artifact, artifact.summary if artifact else None)
