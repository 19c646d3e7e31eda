from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kos.errors import UserError
from kos.weights import int4
from kos.weights.formats.base import Activations
from kos.weights.formats.int4 import Int4
from kos.weights.formats.int4_unbiased import Int4ActivationAware, Int4Stochastic
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.formats.nvfp4_variants import (
    Nvfp4ActivationAware,
    Nvfp4FourOverSix,
    Nvfp4Mse,
    Nvfp4Stochastic,
)
from tests.kos.weights.rounding.weights import (
    make_activations,
    make_inputs,
    make_target,
    output_error,
)

IN_PLACE = (Int4Stochastic(), Int4ActivationAware())
VARIANTS = (Nvfp4ActivationAware(), Nvfp4FourOverSix(), Nvfp4Mse(), Nvfp4Stochastic())


@pytest.fixture(scope="module")
def inputs():
    return make_inputs()


@pytest.fixture(scope="module")
def target(inputs):
    return make_target(activations=make_activations(inputs))


@pytest.mark.parametrize("format", (*IN_PLACE, *VARIANTS), ids=lambda one: one.kind)
def test_parts_are_known_beforehand(format, target):
    dtypes = {"I32": torch.int32, "BF16": torch.bfloat16, "U8": torch.uint8, "F32": torch.float32,
              "F8_E4M3": torch.float8_e4m3fn}  # fmt: skip
    parts = format.parts(target.name, tuple(target.base_RC.shape))
    stored = format.encode(target)
    assert parts.keys() == stored.keys()
    for name, part in parts.items():
        assert tuple(stored[name].shape) == part.shape
        assert stored[name].dtype == dtypes[part.dtype]


@pytest.mark.parametrize("format", IN_PLACE, ids=lambda one: one.kind)
def test_without_a_change_the_base_stays_bit_for_bit(format, target):
    stored = format.encode(replace(target, delta_RC=None))
    stem = target.name.removesuffix(".weight")
    assert torch.equal(stored[f"{stem}.weight_packed"], int4.pack(target.codes_RC))
    assert torch.equal(format.decode(target.name, stored), target.base_RC)


def test_the_scales_are_the_bases_own(target):
    stem = target.name.removesuffix(".weight")
    for format in IN_PLACE:
        assert torch.equal(format.encode(target)[f"{stem}.weight_scale"], target.scale_RG)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(target):
    format, name = Int4Stochastic(), target.name.replace(".weight", ".weight_packed")
    first = format.encode(target)[name]
    assert torch.equal(first, format.encode(target)[name])
    assert not torch.equal(first, format.encode(replace(target, seed=1))[name])


def test_they_need_no_other_config_than_int4():
    names = ["model.layers.1.mlp.experts.0.up_proj.weight"]
    assert Int4Stochastic().config(names, []) == Int4().config(names, [])


@pytest.mark.parametrize("format", IN_PLACE, ids=lambda one: one.kind)
def test_a_base_that_is_not_int4_is_refused_in_words(format, target):
    bare = replace(target, codes_RC=None, scale_RG=None)
    with pytest.raises(UserError, match="no grid to stay on"):
        format.encode(bare)
    assert "does not pack it" in format.refusal((256, 512), is_packed=False)


def test_a_base_can_be_rounded_to_int4_first(target):
    format = Int4Stochastic(requantise_base=True)
    bare = replace(target, codes_RC=None, scale_RG=None)
    assert format.refusal((256, 512), is_packed=False) == ""
    # This base lies on the grid already, so nothing is lost on the way there.
    found, wanted = format.encode(bare), Int4Stochastic().encode(target)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_without_calibration_it_says_what_is_missing(target):
    with pytest.raises(UserError, match="give a dataset or a calibration"):
        Int4ActivationAware().encode(replace(target, activations=None))


def test_an_expert_without_a_token_is_rounded_at_random(target):
    unseen = replace(target, activations=Activations(0.0, 0))
    found, wanted = Int4ActivationAware().encode(unseen), Int4Stochastic().encode(unseen)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_activations_cut_the_noise_and_keep_the_change(target, inputs):
    def of(format):
        error = format.decode(target.name, format.encode(target)) - target.merged_RC
        moment, delta = inputs.moment_CC, target.delta_RC
        kept = float((((error + delta) @ moment) * delta).sum()) / output_error(delta, inputs)
        return output_error(error, inputs), kept

    shrunk, whole = Int4ActivationAware(bias_weight=0), Int4ActivationAware()
    (noise, _), (most, slope), (_, small) = of(Int4Stochastic()), of(whole), of(shrunk)
    assert most < noise / 4
    assert slope == pytest.approx(1, abs=0.05)
    assert small < slope


def test_nvfp4_by_activations_disturbs_the_outputs_less(target, inputs):
    errors = [
        output_error(one.decode(target.name, one.encode(target)) - target.merged_RC, inputs)
        for one in (Nvfp4ActivationAware(), Nvfp4())
    ]
    assert errors[0] < errors[1] / 1.5


def test_scales_can_be_combined_with_choosing_codes(target):
    swept = Nvfp4Stochastic(scales="mse").encode(target)
    name = target.name.replace(".weight", ".weight_scale")
    wanted = Nvfp4Mse().encode(target)[name]
    assert torch.equal(swept[name].view(torch.uint8), wanted.view(torch.uint8))
