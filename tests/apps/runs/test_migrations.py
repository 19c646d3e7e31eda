"""Runs of an older Kos can still be read, cloned and resumed."""

from __future__ import annotations

from importlib import import_module

from kos.config import JOBS

rewritten = import_module("apps.runs.migrations.0003_trained_and_exported").rewritten
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
