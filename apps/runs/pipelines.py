"""Pipelines: a run without a process of its own, whose stages are runs.

The next stage is made in the transaction that ends the one before it, so no crash can fall
between the two. A pipeline's ``progress`` holds its stages by name, for one bar each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from apps.datasets.models import DatasetVersion
from apps.runs import events, queue
from apps.runs.models import Artifact, Run, Status
from kos.config import JobConfig, Pipeline
from kos.errors import UserError

WAITING = "waiting"


class Stage(NamedTuple):
    """One stage: its knobs, and which artifact (input name -> source) it works on.

    A source is ``base`` or a stage's name: the latest artifact which that stage kept.
    """

    name: str
    config: JobConfig
    sources: dict[str, str]
    dataset: str = ""


class StageView(NamedTuple):
    """What a page or a terminal draws of a stage; ``status`` is a run's, or ``waiting``."""

    name: str
    run_id: int | None
    status: str
    done: float
    total: float


def plan(pipeline: Run) -> list[Stage]:
    """The stages of ``pipeline`` in order."""
    config = pipeline.settings
    assert isinstance(config, Pipeline), pipeline
    models = {"base": "base", "trained": "merge", "exported": "export"}
    stages = [
        Stage("train", config.train, {"base": "base"}, "dataset"),
        Stage("merge", config.merge, {"base": "base", "adapter": "train"}),
        Stage("export", config.export, _exported(config), "dataset"),
        Stage("evaluate", config.evaluate, dict(models), "dataset"),
        Stage("deploy", config.deploy, {"model": "export"}),
    ]
    if config.warm_start:
        stages[0].sources["adapter"] = "sft"
        stages[3].sources["warm_start"] = "sft"
        stages.insert(0, Stage("sft", config.sft, {"base": "base"}, "dataset"))
    if pipeline.benchmark is not None:
        second = Stage("evaluate_benchmark", config.evaluate_benchmark, models, "benchmark")
        stages.insert(-1, second)
    return stages


def _exported(config: Pipeline) -> dict[str, str]:
    """What the export reads: the base with the adapter, folded in without rounding in between.

    ModelOpt calibrates a whole model in memory, so it is given the merged one.
    """
    if config.export.calibrator.kind == "modelopt":
        return {"model": "merge", "base": "base"}
    return {"model": "base", "adapter": "train"}


def stage_names(pipeline: Run) -> list[str]:
    """The names of the stages in order, without reading a config or another row: lists ask."""
    has_start = pipeline.config.get("warm_start", True)
    second = ["evaluate_benchmark"] if pipeline.benchmark_id else []
    return [
        *(["sft"] if has_start else []),
        *("train", "merge", "export", "evaluate"),
        *second,
        "deploy",
    ]


def stages_of(pipeline: Run) -> list[StageView]:
    """The stages in order, as ``progress`` has them."""
    found = ((name, pipeline.progress.get(name, {})) for name in stage_names(pipeline))
    return [
        StageView(
            name,
            seen.get("run"),
            seen.get("status", WAITING),
            seen.get("done", 0),
            seen.get("total", 0),
        )
        for name, seen in found
    ]


def start(pipeline: Run) -> None:
    """Set a new pipeline going: it runs at once, and its first stage is queued."""
    pipeline.started = timezone.now()
    pipeline.save(update_fields=["started"])
    events.turn(pipeline, Status.RUNNING)
    _launch(pipeline, plan(pipeline)[0])


def note(stage: Run, **progress: Any) -> None:
    """Tell the pipeline of a locked stage how that stage stands."""
    if stage.pipeline_id is None:
        return
    pipeline = events.lock(stage.pipeline_id)
    seen = pipeline.progress.get(stage.stage, {})
    seen |= {"run": stage.pk, "status": str(stage.status), **progress}
    if stage.status == Status.DONE:
        seen["done"] = seen["total"] = seen.get("total") or 1
    pipeline.progress[stage.stage] = seen
    pipeline.save(update_fields=["progress"])
    events.say(pipeline, "stage", stage=stage.stage, **seen)


def advance(stage: Run) -> None:
    """Go on after ``stage``, which is locked and ended (or serves, if it is a deployment)."""
    note(stage)
    if stage.pipeline_id is None:
        return
    pipeline = events.lock(stage.pipeline_id)
    if pipeline.status not in (Status.RUNNING, Status.STOPPING) or _latest(pipeline) != stage:
        return
    if stage.status == Status.FAILED:
        reason = stage.error.strip().splitlines() or ["no reason was given"]
        events.turn(pipeline, Status.FAILED, error=f"Stage {stage.stage} failed: {reason[0]}")
    elif stage.status == Status.CANCELLED or pipeline.is_stop_requested:
        events.turn(pipeline, Status.CANCELLED)
    else:
        _go_on(pipeline, after=stage.stage)


def stop(pipeline: Run, stop_stage: Callable[[Run], None]) -> None:
    """Stop what the pipeline is at; what its stages made stays."""
    # Two transactions, since the order of locks is stage before pipeline. A stage that ends
    # between them finds the wish on the pipeline and does not go on.
    with transaction.atomic():
        pipeline = events.lock(pipeline.pk)
        if pipeline.status != Status.RUNNING:
            return
        events.turn(pipeline, Status.STOPPING)
    stage = _latest(pipeline)
    if stage is not None:
        stop_stage(stage)


def resume(pipeline: Run, resume_stage: Callable[[Run], None]) -> None:
    """Take up the stage that failed or was stopped, or the one after the last that is done."""
    stage = _latest(pipeline)
    assert stage is not None, pipeline
    if stage.can_resume:
        resume_stage(stage)
        return
    with transaction.atomic():
        events.lock(stage.pk)
        pipeline = events.lock(pipeline.pk)
        if pipeline.can_resume:
            events.turn(pipeline, Status.RUNNING)
            _go_on(pipeline, after=stage.stage)


def take_up(stage: Run) -> None:
    """The pipeline of a resumed (locked) stage runs again, if this is where it ended."""
    note(stage)
    if stage.pipeline_id is None:
        return
    pipeline = events.lock(stage.pipeline_id)
    if pipeline.can_resume and _latest(pipeline) == stage:
        events.turn(pipeline, Status.RUNNING)


def _go_on(pipeline: Run, *, after: str) -> None:
    stages = plan(pipeline)
    index = [stage.name for stage in stages].index(after) + 1
    if index == len(stages):
        events.turn(pipeline, Status.DONE)
        return
    try:
        _launch(pipeline, stages[index])
    except UserError as error:
        events.turn(
            pipeline,
            Status.FAILED,
            error=f"Stage {stages[index].name} could not start: {error}",
        )


def _launch(pipeline: Run, stage: Stage) -> None:
    run = queue.create(
        pipeline.owner,
        stage.config,
        name=f"{pipeline.name}: {stage.name}"[:120],
        inputs={name: _source(pipeline, stage, name) for name in stage.sources},
        dataset=_dataset(pipeline, stage.dataset),
        seed=pipeline.seed,
        pipeline=pipeline,
        stage=stage.name,
    )
    events.turn(run, Status.QUEUED)
    note(run)
    # ``note`` wrote through its own copy of the row.
    pipeline.refresh_from_db(fields=["progress", "last_seq"])
    queue.ring(run)


def _source(pipeline: Run, stage: Stage, name: str) -> Artifact:
    source = stage.sources[name]
    if source == "base":
        return pipeline.inputs.select_related("artifact").get(name="base").artifact
    found = Artifact.objects.filter(
        run__pipeline=pipeline, run__stage=source, kind__in=stage.config.inputs[name].kinds
    ).first()
    if found is None:
        raise UserError(f"stage {source} kept nothing that {stage.name} can take as its {name}")
    return found


def _dataset(pipeline: Run, name: str) -> DatasetVersion | None:
    return {"": None, "dataset": pipeline.dataset, "benchmark": pipeline.benchmark}[name]


def _latest(pipeline: Run) -> Run | None:
    return pipeline.stages.order_by("pk").last()
