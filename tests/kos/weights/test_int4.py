from __future__ import annotations

import pytest
import torch

from kos.errors import UserError
from kos.weights import int4

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def theirs():
    """compressed-tensors' own packer; its import warns, so it waits for a test."""
    from compressed_tensors.compressors.pack_quantized import helpers

    return helpers


def codes(rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-8, 8, (rows, columns), generator=generator).to(torch.int8)


def test_codes_are_offset_binary_with_the_lowest_nibble_first():
    packed = int4.pack(torch.tensor([[-8, -7, -1, 0, 1, 2, 6, 7]], dtype=torch.int8))
    assert packed.item() & 0xFFFFFFFF == 0xFEA98710


@pytest.mark.parametrize("columns", [8, 64, 13])
def test_packing_gives_the_words_of_compressed_tensors(columns, theirs):
    q = codes(5, columns)
    assert torch.equal(int4.pack(q), theirs.pack_to_int32(q, 4))


@pytest.mark.parametrize("columns", [8, 64, 13])
def test_unpacking_agrees_with_compressed_tensors(columns, theirs):
    packed = theirs.pack_to_int32(codes(5, columns), 4)
    unpacked = theirs.unpack_from_int32(packed, 4, torch.Size((5, columns)))
    assert torch.equal(int4.unpack(packed, columns), unpacked)


def test_what_lies_on_the_grid_comes_back_bit_for_bit():
    weight = torch.randn(16, 96, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    packed, scale = int4.quantise(weight)
    again, scale_again = int4.quantise(int4.dequantise(packed, scale, 96))
    assert torch.equal(packed, again)
    assert torch.equal(scale, scale_again)


def test_kimis_rule_reaches_seven_in_every_group_and_never_minus_eight():
    weight = torch.randn(16, 96, generator=torch.Generator().manual_seed(1))
    packed, scale = int4.quantise(weight)
    q = int4.unpack(packed, 96)
    assert q.min() == -7
    assert (q.view(16, 3, 32).abs().amax(-1) == 7).all()
    assert torch.equal(scale, (weight.view(16, 3, 32).abs().amax(-1) / 7).to(torch.bfloat16))


def test_gaussian_weights_have_the_published_ratio_to_their_scale():
    # Kos-1: mean |w| 1.40e-2 beside a mean scale of 5.95e-3, a ratio of 2.35.
    weight = torch.randn(512, 1024, generator=torch.Generator().manual_seed(2)) * 1.755e-2
    packed, scale = int4.quantise(weight)
    ratio = int4.dequantise(packed, scale, 1024).abs().mean() / scale.float().mean()
    assert ratio == pytest.approx(2.36, abs=0.03)


def test_a_zero_group_stays_zero():
    packed, scale = int4.quantise(torch.zeros(2, 32))
    assert not int4.dequantise(packed, scale, 32).any()


def test_words_of_another_width_are_refused():
    with pytest.raises(UserError, match="words a row"):
        int4.unpack(torch.zeros(2, 3, dtype=torch.int32), 32)
