from __future__ import annotations

import pytest

from apps.runs import pipelines, services
from apps.runs.models import Run, Status
from kos.config import Export, Pipeline
from kos.events import Progress
from kos.weights.calibrators import ModelOpt
from tests.factories import make_artifact, make_user, make_version

pytestmark = pytest.mark.django_db

KEEPS = {"sft": "adapter", "train": "adapter", "merge": "merged", "export": "quantised"}


@pytest.fixture
def base():
    return make_artifact("base")


def launch(base, **fields):
    config = Pipeline(
        warm_start=fields.pop("warm_start", True), export=fields.pop("export", Export())
    )
    fields = {"dataset": make_version(), "name": "first"} | fields
    return services.launch(make_user(), "pipeline", config, inputs={"base": base}, **fields)


def current(pipeline):
    return pipeline.stages.order_by("pk").last()


def do(pipeline):
    """Play the worker for the stage that waits; returns it."""
    run = services.claim(current(pipeline).pk, "worker", lease_seconds=60)
    if run.stage in KEEPS:
        services.keep_artifact(run, KEEPS[run.stage], "out", digest="a", size_bytes=1)
        services.keep_artifact(run, "report", "report", digest="a", size_bytes=1)
    if run.stage == "deploy":
        services.note_serving(run)
    else:
        services.finish(run.pk, run.attempt, Status.DONE)
    return run


def works_on(run):
    return {item.name: item.artifact.run.stage or "base" for item in run.inputs.all()}


def test_a_pipeline_starts_with_its_first_stage_queued(base):
    pipeline = launch(base)
    assert (pipeline.status, current(pipeline).stage) == (Status.RUNNING, "sft")
    assert current(pipeline).name == "first: sft"


def test_a_pipeline_goes_from_stage_to_stage_until_the_model_serves(base):
    pipeline = launch(base)
    stages = [do(pipeline) for _ in range(6)]
    assert [run.stage for run in stages] == [
        "sft",
        "train",
        "merge",
        "export",
        "evaluate",
        "deploy",
    ]
    assert Run.objects.get(pk=pipeline.pk).status == Status.DONE
    assert Run.objects.get(pk=stages[-1].pk).status == Status.RUNNING


def test_each_stage_works_on_what_the_ones_before_it_kept(base):
    pipeline = launch(base)
    _, train, merge, export, evaluate, deploy = [do(pipeline) for _ in range(6)]
    assert works_on(train) == {"base": "base", "adapter": "sft"}
    assert works_on(merge) == {"base": "base", "adapter": "train"}
    assert works_on(export) == {"model": "base", "adapter": "train"}
    assert works_on(evaluate) == {
        "base": "base",
        "warm_start": "sft",
        "trained": "merge",
        "exported": "export",
    }
    assert works_on(deploy) == {"model": "export"}


def test_modelopt_is_given_the_merged_model(base):
    pipeline = launch(base, export=Export(calibrator=ModelOpt()))
    export = [do(pipeline) for _ in range(4)][-1]
    assert works_on(export) == {"model": "merge", "base": "base"}


def test_without_a_warm_start_training_comes_first(base):
    pipeline = launch(base, warm_start=False)
    assert works_on(do(pipeline)) == {"base": "base"}
    assert current(pipeline).stage == "merge"


def test_a_benchmark_is_a_second_evaluation(base):
    benchmark = make_version()
    pipeline = launch(base, benchmark=benchmark)
    stages = [do(pipeline) for _ in range(7)]
    assert [run.stage for run in stages[-3:]] == ["evaluate", "evaluate_benchmark", "deploy"]
    assert (stages[-3].dataset, stages[-2].dataset) == (pipeline.dataset, benchmark)


def test_a_failed_stage_ends_the_pipeline_with_a_sentence(base):
    pipeline = launch(base)
    run = services.claim(current(pipeline).pk, "worker", lease_seconds=60)
    services.finish(run.pk, 1, Status.FAILED, error="no room on the disk\nsecond line")
    pipeline.refresh_from_db()
    assert pipeline.status == Status.FAILED
    assert pipeline.error == "Stage sft failed: no room on the disk"


def test_a_resumed_pipeline_takes_up_the_stage_that_failed(base):
    pipeline = launch(base)
    run = services.claim(current(pipeline).pk, "worker", lease_seconds=60)
    services.finish(run.pk, 1, Status.FAILED, error="no room")
    services.resume(Run.objects.get(pk=pipeline.pk))
    assert Run.objects.get(pk=pipeline.pk).status == Status.RUNNING
    assert do(pipeline) == run
    assert current(pipeline).stage == "train"


def test_resuming_the_stage_resumes_its_pipeline(base):
    pipeline = launch(base)
    services.stop(current(pipeline))
    assert Run.objects.get(pk=pipeline.pk).status == Status.CANCELLED
    services.resume(current(pipeline))
    assert Run.objects.get(pk=pipeline.pk).status == Status.RUNNING


def test_stopping_a_pipeline_cancels_the_stage_that_waits(base):
    pipeline = launch(base)
    services.stop(pipeline)
    assert current(pipeline).status == Status.CANCELLED
    assert Run.objects.get(pk=pipeline.pk).status == Status.CANCELLED


def test_stopping_a_pipeline_asks_the_stage_that_runs(base):
    pipeline = launch(base)
    run = services.claim(current(pipeline).pk, "worker", lease_seconds=60)
    services.stop(pipeline)
    assert Run.objects.get(pk=run.pk).status == Status.STOPPING
    assert Run.objects.get(pk=pipeline.pk).status == Status.STOPPING


def test_a_stage_that_ends_well_while_its_pipeline_stops_is_the_last(base):
    pipeline = launch(base)
    run = services.claim(current(pipeline).pk, "worker", lease_seconds=60)
    services.stop(pipeline)
    services.keep_artifact(run, "adapter", "out", digest="a", size_bytes=1)
    services.finish(run.pk, run.attempt, Status.DONE)
    assert Run.objects.get(pk=pipeline.pk).status == Status.CANCELLED
    services.resume(Run.objects.get(pk=pipeline.pk))
    assert current(pipeline).stage == "train"


def test_a_stage_that_kept_nothing_ends_the_pipeline(base):
    pipeline = launch(base)
    run = services.claim(current(pipeline).pk, "worker", lease_seconds=60)
    services.finish(run.pk, run.attempt, Status.DONE)
    pipeline.refresh_from_db()
    assert pipeline.status == Status.FAILED
    assert "stage sft kept nothing that train can take as its adapter" in pipeline.error


def test_a_pipeline_shows_how_far_each_stage_is(base):
    pipeline = launch(base)
    run = services.claim(current(pipeline).pk, "worker", lease_seconds=60)
    services.note_progress(run, [Progress("steps", 3, 10)])
    first, second = pipelines.stages_of(Run.objects.get(pk=pipeline.pk))[:2]
    assert first == ("sft", run.pk, "running", 3, 10)
    assert second == ("train", None, "waiting", 0, 0)
    assert pipeline.events.filter(kind="stage").last().data["done"] == 3


def test_the_bar_of_a_stage_that_is_done_is_full(base):
    pipeline = launch(base)
    do(pipeline)
    first = pipelines.stages_of(Run.objects.get(pk=pipeline.pk))[0]
    assert (first.status, first.done, first.total) == ("done", 1, 1)


def test_a_stopped_deployment_leaves_its_finished_pipeline_alone(base):
    pipeline = launch(base)
    *_, deploy = [do(pipeline) for _ in range(6)]
    services.finish(deploy.pk, deploy.attempt, Status.CANCELLED)
    assert Run.objects.get(pk=pipeline.pk).status == Status.DONE


def test_a_pipelines_events_have_no_gap(base):
    pipeline = launch(base)
    for _ in range(6):
        do(pipeline)
    seqs = list(pipeline.events.values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
