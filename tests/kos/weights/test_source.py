from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kos.weights import plan
from kos.weights.fold import merged_rows
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.lora import Adapter
from kos.weights.source import HELD, Source
from kos.weights.text import Checkpoint
from tests.kos.weights import families
from tests.kos.weights.models import same

pytestmark = pytest.mark.filterwarnings("ignore")
STEM = "model.layers.1.mlp.experts"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "a"
    return families.tinker(folder, {}, {STEM: (8, 64, 128)})


@pytest.mark.parametrize("held", [HELD, 0])
def test_a_merge_straight_to_nvfp4_has_modelopts_bytes(k2, adapter, monkeypatch, held):
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    monkeypatch.setattr("kos.weights.source.HELD", held)
    base = Checkpoint(k2)
    source = Source(base, plan.plan_updates(base, Adapter(adapter)))
    for expert in (0, 5):
        names = [f"{STEM}.{expert}.{part}_proj.weight" for part in ("gate", "up")]
        ideal = [merged_rows(base[name], source.updates[name], 0, 64) for name in names]
        scale_2 = torch.stack([one.abs().amax() for one in ideal]).amax() / 2688
        for name, wanted in zip(names, ideal, strict=True):
            stem = name.removesuffix(".weight")
            found = Nvfp4(activations="none").encode(source.target(name, shares_with=names))
            codes, scale, _ = NVFP4QTensor.quantize(wanted, 16, weights_scaling_factor_2=scale_2)
            assert same(found[name], codes._quantized_data)
            assert same(found[f"{stem}.weight_scale"], scale)
            assert same(found[f"{stem}.weight_scale_2"], scale_2)


def test_the_next_sum_is_read_into_the_room_of_one_that_was_released(k2, adapter):
    base = Checkpoint(k2)
    source = Source(base, plan.plan_updates(base, Adapter(adapter)))
    first, second = (f"{STEM}.{expert}.gate_proj.weight" for expert in (0, 5))
    released = source.target(first, is_apart=False)
    source.release(released)
    found = source.target(second, is_apart=False).base_RC
    assert found.data_ptr() == released.base_RC.data_ptr()
    assert torch.equal(found, merged_rows(base[second], source.updates[second], 0, 64))
