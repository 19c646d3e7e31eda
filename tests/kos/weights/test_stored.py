"""Every format that a base may come in, read to the values its own library reads."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from kos.errors import UserError
from kos.weights import int4, nvfp4
from kos.weights.text import Checkpoint
from tests.kos.weights.models import same

pytestmark = pytest.mark.filterwarnings("ignore")
X = "model.layers.0.mlp.up_proj"


def write(folder: Path, tensors: dict[str, torch.Tensor], **quantisation) -> Checkpoint:
    folder.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    config = {"model_type": "llama", "quantization_config": quantisation}
    (folder / "config.json").write_text(json.dumps(config))
    return Checkpoint(folder)


def normal(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.02


def in_parts(weight) -> torch.Tensor:
    """Read in uneven blocks of rows, as a merge does."""
    rows = weight.shape[0]
    cuts = sorted({0, rows // 3, rows // 2, rows})
    return torch.cat([weight.read_rows(a, b) for a, b in pairwise(cuts)])


def test_modelopts_nvfp4(tmp_path):
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    codes, scale, scale_2 = NVFP4QTensor.quantize(normal(48, 64), 16)
    stored = {"weight": codes._quantized_data, "weight_scale": scale, "weight_scale_2": scale_2}
    stored |= {"input_scale": torch.tensor(1.0)}
    base = write(tmp_path, {f"{X}.{k}": v for k, v in stored.items()}, quant_method="modelopt")
    wanted = codes.dequantize(
        torch.float32, scale=scale, double_scale=scale_2, block_sizes={-1: 16}
    )
    # Not to the bit: ModelOpt reads the code of -0 as +0.
    assert torch.equal(in_parts(base[f"{X}.weight"]), wanted)
    assert base.format == "nvfp4"
    assert [entry.name for entry in base.dropped] == [f"{X}.input_scale"]


def scheme(**weights):
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))


def test_nvfp4_of_compressed_tensors(tmp_path):
    from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor as Theirs

    mine = nvfp4.quantise(normal(48, 64))
    stored = {
        "weight_packed": mine.codes,
        "weight_scale": mine.scale,
        "weight_global_scale": (1 / mine.scale_2).reshape(1),
    }
    base = write(
        tmp_path,
        {f"{X}.{k}": v for k, v in stored.items()},
        quant_method="compressed-tensors",
        format="nvfp4-pack-quantized",
    )
    sort = scheme(num_bits=4, type="float", strategy="tensor_group", group_size=16)
    wanted = Theirs.decompress(stored, sort)["weight"]
    found = in_parts(base[f"{X}.weight"])
    assert same(found.to(wanted.dtype), wanted)


@pytest.mark.parametrize("suffix", ["weight", "weight_packed"])
def test_mxfp4(tmp_path, suffix):
    from modelopt.torch.quantization.qtensor import MXFP4QTensor

    codes, scale = MXFP4QTensor.quantize(normal(48, 64), 32)
    stored = {suffix: codes._quantized_data, "weight_scale": scale.view(48, 2)}
    base = write(tmp_path, {f"{X}.{k}": v for k, v in stored.items()}, quant_method="modelopt")
    wanted = codes.dequantize(torch.float32, scale=scale, block_sizes={-1: 32})
    assert same(in_parts(base[f"{X}.weight"]), wanted)


def test_the_mxfp4_experts_of_gpt_oss(tmp_path):
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (3, 8, 2, 16), generator=generator, dtype=torch.uint8)
    scales = torch.randint(118, 124, (3, 8, 2), generator=generator, dtype=torch.uint8)
    stem = "model.layers.0.mlp.experts.gate_up_proj"
    base = write(
        tmp_path, {f"{stem}_blocks": blocks, f"{stem}_scales": scales}, quant_method="mxfp4"
    )
    wanted = convert_moe_packed_tensors(blocks, scales)
    assert base[stem].shape == (3, 64, 8)
    assert same(in_parts(base[stem]).to(torch.bfloat16), wanted)


@pytest.mark.parametrize("scale_shape", [(), (1,), (300,), (300, 1)])
def test_fp8_by_tensor_and_by_channel(tmp_path, scale_shape):
    generator = torch.Generator().manual_seed(0)
    codes = normal(300, 40).mul(1000).to(torch.float8_e4m3fn)
    scale = torch.rand(scale_shape, generator=generator) * 1e-3
    stored = {f"{X}.weight": codes, f"{X}.weight_scale": scale}
    base = write(tmp_path, stored, quant_method="compressed-tensors", format="float-quantized")
    wide = scale.reshape(-1, 1) if scale.numel() > 1 else scale.reshape(1, 1)
    assert same(in_parts(base[f"{X}.weight"]), codes.float() * wide)


@pytest.mark.parametrize("shape", [(300, 200), (128, 128), (129, 1)])
def test_the_fp8_blocks_of_deepseek_v3(tmp_path, shape):
    from modelopt.torch.quantization.qtensor import FP8QTensor

    codes, scale = FP8QTensor.quantize(normal(*shape), block_sizes={-1: 128, -2: 128})
    stored = {f"{X}.weight": codes._quantized_data, f"{X}.weight_scale_inv": scale}
    base = write(tmp_path, stored, quant_method="fp8", weight_block_size=[128, 128])
    wanted = codes.dequantize(torch.float32, scale=scale, block_sizes={-1: 128, -2: 128})
    assert same(in_parts(base[f"{X}.weight"]), wanted)
    assert base.format == "fp8"


@given(st.integers(1, 9), st.integers(1, 130), st.sampled_from((32, 64, -1)), st.integers(0, 9))
@settings(max_examples=25)
def test_int4_of_any_width_and_group(tmp_path_factory, rows, columns, group, seed):
    from compressed_tensors.compressors.pack_quantized import helpers

    generator = torch.Generator().manual_seed(seed)
    q = torch.randint(-8, 8, (rows, columns), generator=generator).to(torch.int8)
    size = columns if group < 0 else group
    scale = (torch.rand(rows, -(-columns // size), generator=generator) * 0.01).to(torch.bfloat16)
    stored = {
        "weight_packed": helpers.pack_to_int32(q, 4),
        "weight_scale": scale,
        "weight_shape": torch.tensor([rows, columns]),
    }
    group_0 = {"weights": {"num_bits": 4, "group_size": group, "symmetric": True}}
    base = write(
        tmp_path_factory.mktemp("x"),
        {f"{X}.{k}": v for k, v in stored.items()},
        quant_method="compressed-tensors",
        config_groups={"group_0": group_0},
    )
    steps = scale.float().repeat_interleave(size, 1)[:, :columns]
    assert same(in_parts(base[f"{X}.weight"]), q.float() * steps)


@given(st.integers(1, 6), st.integers(1, 200), st.integers(0, 99))
@settings(max_examples=30)
def test_int4_comes_back_bit_for_bit_whatever_the_padding(rows, columns, seed):
    weight = normal(rows, columns, seed).to(torch.bfloat16)
    packed, scale = int4.quantise(weight)
    values = int4.dequantise(packed, scale, columns)
    again = int4.quantise(values)
    assert same(again[0], packed)
    assert same(again[1], scale)
    assert packed.shape == (rows, -(-columns // 8))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"weight": torch.zeros(4, 8, dtype=torch.float8_e4m3fn)}, "lacks its weight_scale"),
        ({"weight_packed": torch.zeros(4, 8, dtype=torch.int32)}, "lacks its weight_scale"),
        ({"qweight": torch.zeros(4, 8, dtype=torch.int32)}, "does not read"),
        (
            {
                "weight": torch.zeros(4, 16, dtype=torch.uint8),
                "weight_scale": torch.ones(4, 2).to(torch.float8_e4m3fn),
            },
            "lacks its weight_scale_2",
        ),
        (
            {
                "weight": torch.zeros(4, 16, dtype=torch.uint8),
                "weight_scale": torch.ones(4, 3).to(torch.float8_e4m3fn),
            },
            r"shape \(4, 3\)",
        ),
    ],
)
def test_codes_without_their_scales_are_refused_by_name(tmp_path, tensors, said):
    with pytest.raises(UserError, match=said):
        write(tmp_path, {f"{X}.{k}": v for k, v in tensors.items()}, quant_method="modelopt")
