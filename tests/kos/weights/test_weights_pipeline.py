"""INT4 base, adapter, NVFP4, reload: the whole way of the weights on k2-tiny."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kos.config import Export
from kos.events import LocalJob
from kos.weights.calibrators import Layerwise
from kos.weights.export import export
from kos.weights.formats.base import ExportFormat
from kos.weights.formats.fp8 import Fp8
from kos.weights.formats.int4_unbiased import Int4Stochastic
from kos.weights.formats.mxfp4 import Mxfp4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.shards import Index
from tests.kos.weights.models import make_peft, run_merge, write_prompts

pytestmark = pytest.mark.filterwarnings("ignore")
# Nats a token between the merged model and its export; what the adapter changes is 0.0119.
BOUND = {"nvfp4": 3e-3, "mxfp4": 4e-3, "fp8": 1e-3, "int4_stochastic": 3e-3}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, k2_text) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    return make_peft(k2_text, folder, target_modules=["o_proj"], target_parameters=experts)


@pytest.fixture(scope="module")
def merged(tmp_path_factory, k2, adapter) -> Path:
    job = run_merge(tmp_path_factory.mktemp("merged"), base=k2, adapter=adapter)
    return job.folder / "merged"


def logp(folder: Path) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(10, 400, (8, 64), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return model(ids).logits.log_softmax(-1)


def kl(ideal: torch.Tensor, other: torch.Tensor) -> float:
    """Mean KL(ideal || other), nats a token."""
    return float((ideal.exp() * (ideal - other)).sum(-1).mean())


def run(folder: Path, format: ExportFormat, **inputs: Path) -> LocalJob:
    dataset = write_prompts(folder / "d.jsonl")
    config = Export(format=format, calibrator=Layerwise(samples=4, max_tokens=64), smoke_tokens=2)
    job = LocalJob(folder, {"dataset": dataset, **inputs})
    export(config, job)
    return job


@pytest.mark.parametrize(
    "format", [Nvfp4(), Mxfp4(), Fp8(), Int4Stochastic()], ids=lambda one: one.kind
)
def test_an_export_from_the_packed_base_answers_as_the_merged_model(
    k2, k2_text, adapter, merged, tmp_path, format
):
    job = run(tmp_path, format, model=k2, adapter=adapter)
    ideal = logp(merged)
    found = kl(ideal, logp(job.folder / "quantised" / "twin"))
    assert found < BOUND[format.kind]
    assert found < kl(ideal, logp(k2_text)) / 4
    assert 0.7 < job.events[-1].summary["survival"]["all"]["slope"] < 1.4


def test_by_way_of_a_bf16_copy_the_same_weights_are_quantised(k2, adapter, merged, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    straight = run(tmp_path / "a", Nvfp4(), model=k2, adapter=adapter).folder / "quantised"
    copied = run(tmp_path / "b", Nvfp4(), model=merged, base=k2).folder / "quantised"
    first, second = Index(straight), Index(copied)
    assert set(first) == set(second)
    name = "model.layers.1.mlp.experts.0.up_proj.weight"
    differing = (first[name].read() != second[name].read()).float().mean()
    assert 0 <= differing < 0.05
    assert kl(logp(straight / "twin"), logp(copied / "twin")) < 1e-3
