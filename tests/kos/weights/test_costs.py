from __future__ import annotations

import pytest

from kos.errors import UserError
from kos.weights.costs import Machine, Workload, costs
from kos.weights.formats.base import FORMATS
from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.int4 import Int4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.plan_export import text_tensor
from kos.weights.shapes import KIMI_K25, tensors
from kos.weights.text import Checkpoint

FOUND = costs(KIMI_K25, Nvfp4())
JOBS = {job.job: job for job in FOUND.jobs}


def test_kimi_has_a_trillion_parameters_of_which_33_billion_are_active():
    # The config on transformers' meta device gives the same; the report rounds to 1.04T, 32.6B.
    assert FOUND.parameters.total / 1e12 == pytest.approx(1.0264, abs=5e-5)
    assert FOUND.parameters.active / 1e9 == pytest.approx(32.9, abs=0.05)


def test_the_released_checkpoint_and_its_bf16_copy_have_their_known_sizes():
    # 554 GiB with the vision tower, which is 0.9 GB of it.
    assert FOUND.preview.bytes_before / 2**30 == pytest.approx(553.4, abs=0.1)
    assert FOUND.bf16_bytes / 1e12 == pytest.approx(2.05, abs=0.01)


def test_nvfp4_is_as_large_as_int4_in_groups_of_32():
    # Both have 4.5 bits a weight; attention output is quantised as well here.
    experts = [row for row in FOUND.preview.rows if "experts.gate" in row.kind]
    assert experts[0].bytes_after == pytest.approx(experts[0].bytes_before, rel=1e-4)
    assert costs(KIMI_K25, Int4()).preview.bytes_after < FOUND.preview.bytes_before


def test_calibration_decides_181_scales():
    rows = [row for row in FOUND.preview.rows if row.is_quantised]
    layers = {row.kind: len(row.layers) for row in rows}
    experts = layers["mlp.experts.gate_proj"] + layers["mlp.experts.down_proj"]
    assert experts + layers["self_attn.o_proj"] == 60 * 2 + 61


def test_the_hidden_states_of_the_calibration_take_11_gigabytes():
    assert pytest.approx(11.3, abs=0.05) == 256 * 3072 * 7168 * 2 / 1e9
    extra = JOBS["calibrate"].disk_bytes - FOUND.preview.bytes_before
    assert extra / 3e9 == pytest.approx(11.3, abs=0.05)


def test_an_adapter_of_rank_44_on_all_linears_takes_13_gigabytes():
    merged = JOBS["merge to BF16"]
    adapter = merged.disk_bytes - FOUND.preview.bytes_before - FOUND.bf16_bytes
    assert adapter / 1e9 == pytest.approx(13, abs=0.5)


def test_straight_export_does_without_the_copy():
    straight, merged = JOBS["merge and export"], JOBS["merge to BF16"]
    assert straight.memory_bytes < 1e9
    assert merged.disk_bytes - straight.disk_bytes > 1.4e12
    assert straight.seconds < merged.seconds / 2


def test_the_weights_take_about_an_hour_of_one_core():
    slow = costs(KIMI_K25, Nvfp4(), machine=Machine(cores=1, disk_mb_per_second=1e6))
    found = {job.job: job for job in slow.jobs}["merge and export"]
    assert found.limit == "processor"
    assert 0.9 < found.seconds / 3600 < 1.3


def test_what_does_not_fit_says_what_is_short():
    small = costs(KIMI_K25, Nvfp4(), machine=Machine(num_gpus=2, disk_gb=500))
    found = {job.job: job for job in small.jobs}
    assert "memory on each GPU, 141 GB are there" in found["serve"].why
    assert "of disk, 500 GB are there" in found["merge and export"].why
    assert not found["serve"].fits


def test_the_cache_of_a_token_is_its_latent():
    assert FOUND.kv_bytes_per_token == 61 * (512 + 64) * 2


def test_more_conversations_need_more_memory():
    few, many = (
        costs(KIMI_K25, Nvfp4(), workload=Workload(conversations=count)).jobs[-1].gpu_bytes
        for count in (1, 64)
    )
    assert many > few


@pytest.mark.parametrize("format", [cls() for cls in FORMATS], ids=lambda one: one.kind)
def test_every_format_has_a_price(format):
    found = costs(KIMI_K25, format)
    assert found.preview.bytes_after > 5e11
    assert found.label == "calculated from the model's shapes, not measured"


@pytest.mark.parametrize("model", ["k2", "llama"])
def test_the_shapes_are_those_of_the_files(request, model):
    folder = Checkpoint(request.getfixturevalue(model))
    real = {one.name: (one.shape, one.kept_bytes) for one in map(text_tensor, folder.values())}
    implied = list(tensors(folder.config, packed=model == "k2"))
    assert all(real[one.name] == (one.shape, one.kept_bytes) for one in implied)
    assert sum(one.num_alike for one in implied) == len(real)
    stored = sum(weight.stored_bytes for weight in folder.values())
    told = sum(one.stored_bytes * one.num_alike for one in implied)
    assert told == pytest.approx(stored, rel=1e-3)


def test_layers_that_are_not_known_are_refused():
    config = KIMI_K25 | {"kv_lora_rank": None, "linear_num_key_heads": 16}
    with pytest.raises(UserError, match="linear attention"):
        costs(config, Bf16())
