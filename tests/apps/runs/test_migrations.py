"""Runs of an older Kos can still be read, cloned and resumed."""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.db import connection

from apps.runs.figures import metrics
from kos.config import JOBS
from tests.apps.runs.page.test_pages import say
from tests.factories import make_run

rewritten = import_module("apps.runs.migrations.0003_trained_and_exported").rewritten
fill = import_module("apps.runs.migrations.0007_metrics").fill
OLD_TRAIN = {"kind": "train", "reward": {"kind": "conciseness"}, "keep_equal_groups": True}
OLD_EXPORT = {"kind": "export", "format": {"kind": "nvfp4", "calibration_samples": 4}}


def test_the_one_reward_becomes_a_list_of_one():
    config = JOBS["train"].model_validate(rewritten("train", OLD_TRAIN))
    assert [stage.kind for stage in config.rewards] == ["conciseness"]
    assert config.rollouts.equal_groups == "keep"


def test_the_rubric_alone_is_an_empty_list():
    old = {"kind": "train", "reward": {"kind": "rubric"}}
    assert JOBS["train"].model_validate(rewritten("train", old)).rewards == ()


def test_calibration_becomes_a_choice_of_its_own():
    config = JOBS["export"].model_validate(rewritten("export", OLD_EXPORT))
    assert (config.calibrator.kind, config.calibrator.samples) == ("modelopt", 4)


def test_the_stages_of_a_pipeline_are_carried_over_as_well():
    old = {"kind": "pipeline", "train": OLD_TRAIN, "export": OLD_EXPORT}
    config = JOBS["pipeline"].model_validate(rewritten("pipeline", old))
    assert config.export.calibrator.samples == 4
    assert config.train.rollouts.equal_groups == "keep"


def test_what_is_new_already_stays_as_it_is():
    new = JOBS["train"]().model_dump(mode="json")
    assert rewritten("train", new) == new


def test_the_numbers_of_old_steps_become_rows_as_the_last_try_left_them(db):
    run, other = make_run("train"), make_run("train")
    say(run, 1, "step", {"step": 1, "metrics": {"loss": 1.0, "kl": None}})
    say(run, 2, "step", {"step": 2, "metrics": {"loss": 2.0, "gone": 9.0}})
    say(run, 3, "step", {"step": 2, "metrics": {"loss": 3.5e-7}})
    say(other, 1, "step", {"step": 1, "metrics": {"loss": 4.0}})
    with connection.schema_editor() as editor:
        fill(apps, editor)
        # A second time leaves the same rows.
        fill(apps, editor)
    found = [(step.number, step.metrics) for step in metrics.steps(run)]
    assert found == [(1, {"kl": None, "loss": 1.0}), (2, {"loss": 3.5e-7})]
    assert metrics.series(other)["loss"].values == [4.0]
