from __future__ import annotations

import pytest
import torch

from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.int4 import Int4
from kos.weights.formats.int4_unbiased import Int4ActivationAware, Int4Stochastic
from kos.weights.formats.mxfp4 import Mxfp4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.formats.nvfp4_variants import Nvfp4FourOverSix, Nvfp4Mse, Nvfp4Stochastic
from kos.weights.survival.measure import measure, subspace_error
from kos.weights.survival.sampling import sample, spread
from tests.kos.weights.rounding.weights import make_activations, make_inputs, make_target

FORMATS = (Bf16(), Int4(), Int4Stochastic(), Mxfp4(), Nvfp4(), Nvfp4FourOverSix(), Nvfp4Mse(),
           Nvfp4Stochastic())  # fmt: skip


@pytest.fixture(scope="module")
def lines():
    return {line["kind"]: line for line in measure([make_target()], FORMATS)}


def test_requantised_int4_changes_no_code_and_loses_the_change(lines):
    found = lines["int4"]["all"]
    assert found["codes_changed"] == 0
    assert found["slope"] < 0.05
    assert found["base_error"] == 0


def test_int4_in_place_keeps_it_with_little_error(lines):
    found = lines["int4_stochastic"]["all"]
    assert found["slope"] == pytest.approx(0.986, abs=0.1)
    assert found["error"] == pytest.approx(0.0278, abs=0.003)
    assert found["scales_changed"] == 0
    assert found["codes_changed"] == pytest.approx(0.0073, abs=0.002)


def test_nvfp4_keeps_it_because_the_new_grid_acts_as_dither(lines):
    found = lines["nvfp4"]["all"]
    assert found["slope"] > 0.5
    assert found["codes_changed"] > 0.005
    assert found["error"] == pytest.approx(0.104, abs=0.004)
    # Twenty decibels of noise: most of it is the base's own, not the change's.
    assert found["snr_db"] < -15
    assert found["base_error"] > 2 * found["delta_error"]


def test_what_reproduces_the_base_best_keeps_least(lines):
    errors = [
        lines[kind]["all"]["error"] for kind in ("nvfp4_mse", "nvfp4_four_over_six", "nvfp4")
    ]
    slopes = [
        lines[kind]["all"]["slope"] for kind in ("nvfp4_mse", "nvfp4_four_over_six", "nvfp4")
    ]
    assert errors == sorted(errors)
    assert slopes[0] < slopes[2]


def test_half_steps_are_the_articles(lines):
    int4, nvfp4 = lines["int4"]["all"], lines["nvfp4"]["all"]
    assert int4["mean_scale"] == pytest.approx(5.9e-3, abs=1e-4)
    assert int4["half_step"] == pytest.approx(int4["mean_scale"] / 2)
    assert int4["half_step_over_delta"] == pytest.approx(70, abs=2)
    assert nvfp4["half_step"] == pytest.approx(nvfp4["mean_scale"] / 4)
    # Next to a BF16 weight of 1.4e-2 the numbers lie 6.1e-5 apart.
    assert lines["bf16"]["all"]["half_step"] == pytest.approx(3.9e-5, abs=3e-6)


def test_bf16_alone_leaves_half_of_the_weights_where_they_were():
    target = make_target()
    plain = type(target)(target.name, target.base_RC.bfloat16().float(), target.delta_RC)
    found = measure([plain], [Bf16()])[0]["all"]
    assert found["codes_changed"] == pytest.approx(0.52, abs=0.05)
    assert found["slope"] == pytest.approx(0.94, abs=0.03)
    assert found["snr_db"] == pytest.approx(7, abs=1.5)


def test_no_block_has_a_small_largest_weight(lines):
    buckets = lines["nvfp4"]["buckets"]
    assert buckets[0]["to"] == 1e-3
    assert buckets[0]["share"] == 0
    assert sum(bucket["share"] for bucket in buckets) == pytest.approx(1)
    full = [bucket for bucket in buckets if bucket["share"] > 0.1]
    assert all(bucket["slope"] > 0.5 for bucket in full)


def test_activations_give_the_slope_at_the_outputs():
    inputs = make_inputs()
    target = make_target(activations=make_activations(inputs))
    aware, drawn = measure([target], [Int4ActivationAware(), Int4Stochastic()])
    assert aware["all"]["slope_out"] == pytest.approx(1, abs=0.1)
    assert abs(aware["all"]["slope_out"] - 1) <= abs(drawn["all"]["slope_out"] - 1) + 0.05


def test_numbers_add_up_over_kinds_and_layers():
    names = [f"model.layers.{layer}.mlp.{kind}.weight" for layer in (1, 12) for kind in "ab"]
    line = measure([make_target(name) for name in names], [Int4()])[0]
    assert line["all"]["num_tensors"] == 4
    assert set(line["kinds"]) == {"mlp.a", "mlp.b"}
    assert set(line["layers"]["mlp.a"]) == {"1", "12"}


def test_a_weight_that_a_format_does_not_store_is_left_out():
    targets = [make_target("model.a.weight"), make_target("model.b.weight")]
    line = measure(targets, [Int4()], takes=[{"model.b.weight"}])[0]
    assert set(line["kinds"]) == {"b"}


def test_an_error_outside_the_adapters_inputs_is_no_subspace_error():
    inputs = torch.eye(4)[:2]
    delta, kept = torch.ones(3, 4), torch.ones(3, 4)
    kept[:, 2:] = 9
    assert subspace_error(kept, delta, inputs) == 0
    assert subspace_error(torch.zeros(3, 4), delta, inputs) == pytest.approx(1)


def test_a_sample_takes_some_experts_of_every_layer_and_kind():
    names = [
        f"model.layers.{layer}.mlp.experts.{expert}.{kind}.weight"
        for layer in (1, 2)
        for expert in range(8)
        for kind in ("up_proj", "down_proj")
    ]
    found = sample(names, experts=2)
    assert len(found) == 8
    assert {name.split(".")[5] for name in found} == {"2", "6"}
    assert len(sample(names, experts=0)) == 32
    assert len(sample(names, experts=1, layers=1)) == 2


def test_spread_takes_the_middles():
    assert spread([*range(10)], 2) == [2, 7]
