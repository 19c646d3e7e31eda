from __future__ import annotations

import pytest

from kos import trackers
from kos.errors import UserError
from kos.trackers import safe
from tests.kos.trackers.conftest import KNOBS


def test_knobs_are_flat_and_carry_neither_texts_nor_secrets():
    assert safe.config(KNOBS) == {
        "kind": "train",
        "steps": 3,
        "learning_rate": 1e-4,
        "is_shuffled": True,
        "loss.kind": "cispo",
        "loss.clip_high": 5.0,
        "rewards.0.kind": "conciseness",
        "rewards.0.gate": 0.68,
        "judge.url": "https://judge.example/v1",
    }


def test_of_a_result_the_numbers_go_along():
    found = safe.numbers({"score": 0.5, "by": {"train": 1}, "answer": "Take it.", "is_ok": True})
    assert found == {"score": 0.5, "by.train": 1.0}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no route to http://ada:hunter2@host/x", "OSError: no route to http://host/x"),
        ("api_key=s3cret was refused", "OSError: api_key=… was refused"),
        ("one\ntwo", "OSError: one"),
        ("", "OSError"),
    ],
)
def test_a_failure_gives_no_credentials_away(said, told):
    assert safe.sentence(OSError(said)) == told


def test_an_unknown_tracker_is_named_with_those_there_are():
    with pytest.raises(UserError, match="'tensorboard'; there are mlflow, wandb, trackio"):
        trackers.make("tensorboard")


def test_one_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'kos\[trackers\]'"):
        trackers.make("mlflow")
