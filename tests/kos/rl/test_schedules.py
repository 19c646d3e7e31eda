from __future__ import annotations

import pytest

from kos.config.base import Sampling
from kos.config.training import Temperature
from kos.rl.schedules import Curve, progress_of, temperature

CURVE = Curve.parse("0.2:10 0.6:30 1:20")


@pytest.mark.parametrize(
    ("progress", "value"), [(0, 10), (0.2, 10), (0.4, 20), (0.6, 30), (0.8, 25), (1, 20)]
)
def test_a_curve_goes_straight_from_knot_to_knot(progress, value):
    assert CURVE.at(progress) == pytest.approx(value)


def test_a_curve_may_begin_elsewhere():
    assert CURVE.from_start(0).at(0.1) == pytest.approx(5)
    assert Curve.parse("0:1 1:2").from_start(0).at(0) == 1


@pytest.mark.parametrize(
    "text", ["", "3", "a:1", "0:b", "0:nan", "0.5:1 0.5:2", "-0.1:1", "1.1:1"]
)
def test_what_is_no_curve_is_refused(text):
    with pytest.raises(ValueError, match=r"knot|forward|outside"):
        Curve.parse(text)


def test_the_first_step_is_at_0_and_the_last_at_1():
    assert [progress_of(step, 5) for step in (1, 3, 5)] == [0.0, 0.5, 1.0]
    assert progress_of(1, 1) == 0.0


@pytest.mark.parametrize(
    ("shape", "quarter", "half"),
    [
        ("linear", 1.0, 0.8),
        ("cosine", 1.2 - 0.8 * 0.146447, 0.8),
        ("exponential", 0.911803, 0.692820),
    ],
)
def test_the_temperature_falls_in_its_shape(shape, quarter, half):
    sampling, decay = Sampling(temperature=1.2), Temperature(end=0.4, shape=shape)
    found = [temperature(sampling, decay, progress) for progress in (0, 0.25, 0.5, 1)]
    assert found == pytest.approx([1.2, quarter, half, 0.4], abs=1e-5)


def test_an_end_of_0_keeps_the_temperature():
    assert temperature(Sampling(temperature=0.9), Temperature(), 0.7) == 0.9
