"""The compiled loops give the bytes of the torch functions, and those of the owning libraries."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kos.weights import int4, kernels, nvfp4
from kos.weights.tally import Sums
from tests.kos.weights.models import same

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not kernels.HAS_LOOPS, reason="numba is not installed"),
]
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 6))
SIZES = st.sampled_from((1e-38, 1e-6, 0.0175, 1.0, 1e4))
few = settings(max_examples=25)


def normal(rows: int, columns: int, size: float = 0.0175, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) * size


@given(SHAPES, SIZES, st.integers(0, 99))
@few
def test_nvfp4_rows_are_modelopts_bytes(shape, size, seed):
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    rows = normal(shape[0], shape[1] * 16, size, seed)
    rows[0, :8] = torch.tensor([0.0, -0.0, 1e-9, -1e-9, 1e30, 0.25, -0.75, 5.0]) * size
    scale_2 = nvfp4.global_scale(rows)
    wanted, scale, _ = NVFP4QTensor.quantize(rows.clone(), 16)
    found = kernels.nvfp4_rows(rows, scale_2)
    assert same(found[0], wanted._quantized_data)
    assert same(found[1], scale)


def test_nvfp4_ties_go_to_the_even_index_as_in_modelopt():
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    ties = torch.tensor([[0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0]]).repeat(1, 2)
    ties = torch.cat((ties, -ties)) * 448
    scale_2 = nvfp4.global_scale(ties)
    wanted, _, _ = NVFP4QTensor.quantize(ties.clone(), 16)
    assert same(kernels.nvfp4_rows(ties, scale_2)[0], wanted._quantized_data)


@given(SHAPES, st.floats(-20, 8), st.integers(0, 99))
@few
def test_every_block_scale_rounds_as_in_torch(shape, exponent, seed):
    rows = normal(shape[0], shape[1] * 16, 2.0**exponent, seed)
    scale_2 = torch.tensor(1 / 2688)
    found, wanted = kernels.nvfp4_rows(rows, scale_2), nvfp4.quantise(rows, scale_2)
    assert same(found[1], wanted.scale)
    assert same(found[0], wanted.codes)


@given(SHAPES, SIZES, st.integers(0, 99))
@few
def test_int4_rows_are_those_of_torch(shape, size, seed):
    rows = normal(shape[0], shape[1] * 32, size, seed)
    rows[0, :32] = 0
    found, wanted = kernels.int4_rows(rows), int4.quantise(rows)
    assert same(found[0], wanted[0])
    assert same(found[1], wanted[1])


@given(SHAPES, st.integers(0, 99))
@few
def test_the_fused_merge_rounds_as_torch_does(shape, seed):
    packed, scale = int4.quantise(normal(shape[0], shape[1] * 32, seed=seed))
    delta = normal(shape[0], shape[1] * 32, 4.2e-5, seed + 1)
    weight = int4.dequantise(packed, scale, delta.shape[1])
    wanted, sums = Sums.fold(weight, delta)
    found, ours = kernels.fold_int4(packed, scale, delta)
    assert same(found, wanted)
    assert ours == pytest.approx(sums, rel=1e-4)
    assert same(kernels.int4_values(packed, scale, delta.shape[1]), weight)
    assert same(kernels.add_int4(packed, scale, delta.clone()), weight + delta)
    assert same(kernels.int4_bf16(packed, scale, delta.shape[1]), weight.to(torch.bfloat16))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float16])
def test_a_plain_weight_is_rounded_once(dtype):
    weight, delta = normal(7, 33).to(dtype), normal(7, 33, 4.2e-5, 1)
    found, _ = kernels.fold_plain(weight, delta)
    assert same(found, (weight.float() + delta).to(torch.bfloat16))


def test_what_is_no_number_stays_none():
    weight = torch.tensor([[float("nan"), float("inf"), -float("inf"), 1.0]])
    found, _ = kernels.fold_plain(weight, torch.zeros(1, 4))
    assert found.isnan().tolist() == [[True, False, False, False]]
    assert found[0, 1:].tolist() == [float("inf"), -float("inf"), 1.0]


@given(SHAPES, st.sampled_from((0.0, 1e-5, 1e-2)), st.integers(0, 99))
@few
def test_packing_again_gives_what_torch_gives(shape, size, seed):
    packed, scale = int4.quantise(normal(shape[0], shape[1] * 32, seed=seed))
    delta = normal(shape[0], shape[1] * 32, size, seed + 1)
    found = kernels.repack_int4(packed, scale, delta)
    kernels.HAS_LOOPS = False
    try:
        wanted = kernels.repack_int4(packed, scale, delta)
    finally:
        kernels.HAS_LOOPS = True
    assert same(found[0], wanted[0])
    assert same(found[1], wanted[1])
    assert found[3] == wanted[3]
    assert found[2] == pytest.approx(wanted[2], rel=1e-3, abs=1e-9)


def test_the_largest_magnitude_may_be_negative():
    rows = normal(3, 50)
    rows[1, 7] = -3.0
    assert kernels.largest(rows) == 3.0


def test_what_does_not_fit_the_loops_goes_through_torch():
    packed, scale = int4.quantise(normal(3, 45))
    delta = normal(3, 45, 1e-4, 1)
    found, _ = kernels.fold_int4(packed, scale, delta)
    assert same(found, (int4.dequantise(packed, scale, 45) + delta).to(torch.bfloat16))
