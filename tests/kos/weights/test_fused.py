from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kos.weights import fused, plan
from kos.weights.fold import merged_rows
from kos.weights.fused import Nvfp4Encoder
from kos.weights.lora import Adapter
from kos.weights.text import Checkpoint
from tests.kos.weights import families
from tests.kos.weights.models import same

pytestmark = pytest.mark.filterwarnings("ignore")
STEM = "model.layers.1.mlp.experts"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fused") / "a"
    return families.tinker(folder, {}, {STEM: (8, 64, 128)})


@pytest.mark.parametrize("held", [1 << 26, 0])
def test_a_merge_straight_to_nvfp4_has_modelopts_bytes(k2, adapter, monkeypatch, held):
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    monkeypatch.setattr(fused, "HELD", held)
    base = Checkpoint(k2)
    updates = plan.plan_updates(base, Adapter(adapter))
    encoder = Nvfp4Encoder()
    for expert in (0, 5):
        names = [f"{STEM}.{expert}.{part}_proj.weight" for part in ("gate", "up")]
        group = [(base[name], updates[name]) for name in names]
        ideal = [merged_rows(*one, 0, 64) for one in group]
        scale_2 = torch.stack([one.abs().amax() for one in ideal]).amax() / 2688
        for found, wanted in zip(encoder.encode(group), ideal, strict=True):
            codes, scale, _ = NVFP4QTensor.quantize(wanted, 16, weights_scaling_factor_2=scale_2)
            assert same(found.codes, codes._quantized_data)
            assert same(found.scale, scale)
            assert same(found.scale_2, scale_2)
