"""The numbers of runs as rows: recorded, redone, thinned and summed."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from apps.runs.figures import metrics, statements
from apps.runs.figures.metrics import Done
from apps.runs.models import Metric, Run
from tests.factories import make_run


@pytest.fixture
def run(db) -> Run:
    return make_run("train", status="running")


def record(run: Run, count: int, **told) -> None:
    """Steps 1 to ``count``, a second each, with the metrics ``name=number_of(step)``."""
    told = told or {"loss": float}
    at = [run.created + timedelta(seconds=step) for step in range(count + 1)]
    numbers = [
        {name: value(step) for name, value in told.items() if value(step) is not LACKS}
        for step in range(count + 1)
    ]
    metrics.record_steps(
        run, [Done(step, numbers[step], at[step]) for step in range(1, count + 1)]
    )


LACKS = object()


def seldom(every: int):
    """A number of 2 at every so many steps, none at the others."""
    return lambda step: 2.0 if step % every == 1 else LACKS


def test_a_step_is_kept_as_one_row_a_number(run):
    metrics.record(run, 3, {"loss": 0.5, "reward/mean": 1.0}, run.created)
    rows = Metric.objects.filter(run=run).order_by("name").values_list("name", "step", "value")
    assert [*rows] == [("loss", 3, 0.5), ("reward/mean", 3, 1.0)]
    assert Metric.objects.first().at == run.created


def test_what_is_not_finite_is_kept_as_nothing(run):
    metrics.record(run, 1, {"a": None, "b": math.nan, "c": math.inf}, run.created)
    assert {row.value for row in Metric.objects.all()} == {None}


def test_a_step_done_again_replaces_its_numbers_and_drops_what_it_lost(run):
    metrics.record(run, 1, {"loss": 1.0}, run.created)
    metrics.record(run, 2, {"loss": 2.0, "gone": 2.0}, run.created)
    metrics.record(run, 2, {"loss": 3.0}, run.created)
    found = metrics.series(run)
    assert {name: curve.values for name, curve in found.items()} == {"loss": [1.0, 3.0]}


def test_a_batch_may_hold_a_step_twice(run):
    told = [Done(1, {"loss": 1.0}, run.created), Done(1, {"loss": 2.0}, run.created)]
    metrics.record_steps(run, told)
    assert metrics.series(run)["loss"].values == [2.0]


def test_doing_a_step_again_leaves_its_neighbours_alone(run):
    record(run, 9)
    metrics.record_steps(run, [Done(3, {"loss": 0.0}, run.created), Done(7, {}, run.created)])
    assert metrics.series(run)["loss"].values == [1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 8.0, 9.0]


def test_a_name_with_odd_letters_stays_itself(run):
    name = "part/\\N\ttab\nline"
    metrics.record(run, 1, {name: 1.0, "x" * 200: 2.0}, run.created)
    assert metrics.names(run) == [name, "x" * 120]


def test_names_are_of_the_one_run(run):
    metrics.record(run, 1, {"b": 1.0, "a": 1.0}, run.created)
    metrics.record(make_run("train"), 1, {"c": 1.0}, run.created)
    assert metrics.names(run) == ["a", "b"]


def test_a_short_curve_comes_whole_with_its_times(run):
    record(run, 3)
    curve = metrics.series(run)["loss"]
    assert (curve.steps, curve.values, curve.num_values) == ([1, 2, 3], [1.0, 2.0, 3.0], 3)
    assert curve.at == pytest.approx([run.created.timestamp() + second for second in (1, 2, 3)])
    assert not curve.is_thinned


def test_thinning_keeps_every_extreme_where_it_was(run):
    spikes = {1234: 50.0, 4321: -50.0}
    record(run, 5000, loss=lambda step: spikes.get(step, math.sin(step)))
    curve = metrics.series(run, points=200)["loss"]
    found = dict(zip(curve.steps, curve.values, strict=True))
    assert {step: found[step] for step in spikes} == spikes
    assert (len(curve.steps) <= 202, curve.num_values, curve.is_thinned) == (True, 5000, True)
    assert (curve.steps[0], curve.steps[-1]) == (1, 5000)
    assert curve.steps == sorted(curve.steps)


def test_a_thinned_curve_knows_the_means_of_what_it_left_out(run):
    record(run, 1000, loss=lambda step: 1.0 if step % 10 == 0 else 0.0)
    curve = metrics.series(run, points=100)["loss"]
    # Every twenty steps have two ones; the lowest and highest alone would average to a half.
    assert curve.means[3] == pytest.approx(0.1)


def test_a_seldom_metric_keeps_all_its_numbers(run):
    record(run, 5000, loss=float, score=seldom(500))
    curve = metrics.series(run, points=200)["score"]
    assert (curve.num_values, len(curve.steps), curve.is_thinned) == (10, 10, False)


def test_a_range_comes_in_full_detail(run):
    record(run, 5000)
    curve = metrics.series(run, ["loss"], points=200, after=1000, until=1100)["loss"]
    assert curve.steps == [*range(1001, 1101)]


def test_nothing_follows_the_last_step(run):
    record(run, 5)
    assert metrics.series(run, after=5) == {}
    assert [*metrics.series(run, after=3)["loss"].steps] == [4, 5]


def test_averages_stand_at_the_same_steps(run):
    record(run, 1000, loss=float, other=seldom(2))
    found = metrics.series(run, points=10, is_averaged=True)
    assert found["loss"].steps == found["other"].steps == [*range(100, 1001, 100)]
    assert (found["loss"].values[0], found["other"].values[0]) == (50.5, 2.0)


def test_numbers_that_are_not_finite_thin_to_what_is(run):
    record(run, 1000, loss=lambda step: None if step % 2 else 1.0, never=lambda step: None)
    found = metrics.series(run, points=100)
    assert set(found["loss"].values[1:]) == {1.0}
    assert found["never"].values == [None, None]


def test_a_spark_has_few_points_from_first_to_last(run):
    record(run, 1000)
    short = make_run("train")
    record(short, 3)
    found = metrics.spark([run, short, make_run("train")], "loss")
    assert (found[run.pk][0], found[run.pk][-1], len(found[run.pk])) == (1.0, 1000.0, 40)
    assert found[short.pk] == [1.0, 2.0, 3.0]
    assert len(found) == 2


def test_a_spark_takes_the_first_name_a_run_has(run, django_assert_num_queries):
    metrics.record(run, 1, {"reward/mean": 1.0, "loss": 9.0}, run.created)
    other = make_run("sft")
    record(other, 2)
    with django_assert_num_queries(1):
        found = metrics.spark([run, other], ["reward/mean", "loss"])
    assert found == {run.pk: [1.0], other.pk: [1.0, 2.0]}


def test_steps_come_whole_and_in_order(run):
    metrics.record(run, 2, {"loss": None, "kl": 0.5}, run.created)
    metrics.record(run, 1, {"loss": 1.0}, run.created)
    assert [tuple(step) for step in metrics.steps(run)] == [
        (1, {"loss": 1.0}),
        (2, {"loss": None, "kl": 0.5}),
    ]
    assert [step.number for step in metrics.steps(run, after=1)] == [2]
    assert [step.number for step in metrics.steps(run, until=1)] == [1]


def test_totals_are_of_the_folders_asked_for(run):
    metrics.record(run, 1, {"tokens/a": 1.0, "time/b": 2.0, "loss": 9.0}, run.created)
    metrics.record(run, 2, {"tokens/a": 3.0, "time/b": None, "loss": 9.0}, run.created)
    assert metrics.totals(run, ("tokens/", "time/")) == {"tokens/a": 4.0, "time/b": 2.0}


def test_the_last_numbers_are_told(run):
    record(run, 3, loss=lambda step: abs(step - 2.0))
    assert metrics.lasts(run) == {"loss": 1.0}
    assert metrics.last_step(run) == 3


def test_a_run_without_steps_has_nothing(run):
    assert (metrics.names(run), metrics.series(run), metrics.steps(run)) == ([], {}, [])
    assert (metrics.last_step(run), metrics.lasts(run), metrics.totals(run, ("",))) == (
        None,
        {},
        {},
    )


def test_a_run_takes_its_numbers_with_it(run):
    record(run, 3)
    run.delete()
    assert not Metric.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_in_the_middle_is_away_as_djangos_own_errors_say(monkeypatch):
    """A worker then waits for it; another error would fail the run."""
    run = make_run("train", status="running")
    ends_here = " where pg_terminate_backend(pg_backend_pid())"
    monkeypatch.setattr(statements, "COPY", statements.COPY + ends_here)
    with pytest.raises(OperationalError, match="terminating connection"):
        record(run, 3)
    connection.close()
