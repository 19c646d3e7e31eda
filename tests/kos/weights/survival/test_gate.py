from __future__ import annotations

import pytest

from kos.weights.survival.gate import gate


def line(slope: float = 0.99, gain: float | None = None, **more) -> dict:
    kept = {} if gain is None else {"gain_kept": {"mean": gain, "low": gain, "high": gain}}
    return {"all": {"slope": slope, **more}, "behaviour": kept}


@pytest.mark.parametrize(
    ("slope", "gain", "passed"),
    [
        (0.99, 0.91, True),
        (0.5, 0.8, True),
        # INT4 requant: slope 0.021, 1.8 % kept. NVFP4 with swept scales: 61.3 % kept.
        (0.021, 0.018, False),
        (0.6, 0.613, False),
        (0.49, 0.91, False),
        (0.99, None, True),
    ],
)
def test_half_the_slope_and_four_fifths_of_the_gain_must_be_left(slope, gain, passed):
    assert gate(line(slope, gain)).passed is passed


def test_it_says_its_numbers():
    slope, gain = gate(line(0.021, 0.018)).sentences
    assert "0.02: under 0.5" in slope
    assert "2 % (2 to 2): under 80 %" in gain


def test_the_slope_at_the_outputs_counts_where_the_inputs_are_known():
    assert gate(line(0.2, 0.9, slope_out=0.97)).passed
    assert not gate(line(0.97, 0.9, slope_out=0.2)).passed


def test_what_was_not_measured_is_said():
    assert gate({}).passed
    assert "not measured" in gate({}).sentences[1]


def test_net_gain_stands_in_for_the_gain():
    net = {"net_gain_kept": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    assert not gate({"all": {}, "behaviour": net}).passed
