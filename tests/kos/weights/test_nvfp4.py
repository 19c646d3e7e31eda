from __future__ import annotations

import pytest
import torch

from kos.errors import UserError
from kos.weights import nvfp4
from tests.kos.weights.models import same

pytestmark = pytest.mark.filterwarnings("ignore")


def weight(dtype: torch.dtype) -> torch.Tensor:
    values = torch.randn(64, 256, generator=torch.Generator().manual_seed(0)) * 0.02
    values[0, :16] = 0
    values[1, :32] = -0.0
    values[2, 3] = 5.0
    return values.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_codes_and_scales_are_the_bytes_of_modelopt(dtype):
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    theirs, scale, scale_2 = NVFP4QTensor.quantize(weight(dtype), 16)
    ours = nvfp4.quantise(weight(dtype))
    assert same(ours.codes, theirs._quantized_data)
    assert same(ours.scale, scale)
    assert torch.equal(ours.scale_2, scale_2)


def test_dequantised_values_are_those_of_modelopt():
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    theirs, scale, scale_2 = NVFP4QTensor.quantize(weight(torch.float32), 16)
    values = theirs.dequantize(
        torch.float32, scale=scale, double_scale=scale_2, block_sizes={-1: 16}
    )
    assert torch.equal(nvfp4.dequantise(theirs._quantized_data, scale, scale_2), values)


def test_ties_go_to_the_even_code():
    ties = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0] * 2).view(1, 16)
    # Scale 1 exactly: the block's largest value is 6 and the global scale one.
    stored = nvfp4.quantise(ties, torch.tensor(1.0))
    values = nvfp4.dequantise(*stored)[0, :8].tolist()
    assert values == [0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 6.0]


def test_gate_and_up_share_the_scale_of_the_larger():
    gate, up = torch.full((2, 16), 0.5), torch.full((2, 16), -2.688)
    assert nvfp4.global_scale(gate, up).item() == pytest.approx(1e-3)


def test_the_even_column_lies_in_the_low_nibble():
    row = torch.tensor([[6.0, -6.0] + [0.0] * 14])
    assert nvfp4.quantise(row, torch.tensor(1.0)).codes[0, 0].item() == 0xF7


def test_columns_that_do_not_fill_a_block_are_refused():
    with pytest.raises(UserError, match="blocks of 16"):
        nvfp4.quantise(torch.zeros(2, 24))
