"""Against MLflow itself, on a folder instead of a server."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from kos import trackers
from kos.errors import UserError
from tests.kos.trackers.conftest import AT

pytestmark = [
    pytest.mark.slow,  # mlflow alone takes seconds to import
    pytest.mark.skipif(not find_spec("mlflow"), reason="mlflow is not installed"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def server(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    return MlflowClient()


def test_a_run_is_there_with_its_numbers_knobs_and_facts(server, start):
    tracker = trackers.make("mlflow")
    link = tracker.start(start)
    tracker.log(1, {"reward/mean": 0.25}, AT)
    tracker.log(2, {"reward/mean": 0.5}, AT)
    tracker.finish("done", {"score": 0.75})
    found = server.get_run(link.id)
    points = server.get_metric_history(link.id, "reward/mean")
    assert [(one.step, one.value) for one in points] == [(1, 0.25), (2, 0.5)]
    assert found.data.params["loss.kind"] == "cispo"
    assert found.data.tags["kos.dataset"] == "letters version 3"
    assert found.data.tags["kos.tag.nightly"] == "true"
    assert (found.info.status, found.info.run_name) == ("FINISHED", "night shift")


def test_a_run_that_is_taken_up_again_goes_on_in_the_same_one(server, start):
    from dataclasses import replace

    first = trackers.make("mlflow")
    link = first.start(start)
    first.log(1, {"loss": 2.0}, AT)
    first.finish("waiting", {})
    assert server.get_run(link.id).info.status == "RUNNING"
    second = trackers.make("mlflow")
    assert second.start(replace(start, id=link.id)).id == link.id
    second.log(2, {"loss": 1.0}, AT)
    second.finish("failed", {})
    assert [one.step for one in server.get_metric_history(link.id, "loss")] == [1, 2]
    assert server.get_run(link.id).info.status == "FAILED"


def test_names_that_mlflow_refuses_are_written_otherwise(server, start):
    tracker = trackers.make("mlflow")
    link = tracker.start(start)
    tracker.log(1, {"pass@8": 0.5}, AT)
    assert server.get_run(link.id).data.metrics == {"pass_8": 0.5}


def test_without_an_address_it_says_which_variable_is_missing(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        trackers.make("mlflow")
