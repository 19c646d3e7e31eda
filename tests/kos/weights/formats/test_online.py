from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kos.config import Export
from kos.events import LocalJob
from kos.serving.engines import adapter_of
from kos.weights import int4
from kos.weights.export import export
from kos.weights.formats.int4_unbiased import Int4Stochastic
from kos.weights.formats.online import Int4Online, Nvfp4Online, without_change
from kos.weights.shards import Index
from kos.weights.survival.measure import measure
from tests.kos.weights.models import make_peft, same
from tests.kos.weights.rounding.weights import make_target

ONLINE = (Int4Online(), Nvfp4Online(activations="unit"))


@pytest.fixture(scope="module")
def target():
    return make_target()


@pytest.mark.parametrize("format", ONLINE, ids=lambda one: one.kind)
def test_the_base_is_stored_as_if_there_were_no_adapter(format, target):
    stored, plain = format.encode(target), format.encode(without_change(target))
    assert all(torch.equal(stored[name], plain[name]) for name in plain)


@pytest.mark.parametrize("format", ONLINE, ids=lambda one: one.kind)
def test_what_is_computed_has_the_whole_change(format, target):
    stored = format.encode(target)
    kept = format.computed(target, stored) - format.decode(target.name, stored)
    assert torch.allclose(kept, target.delta_RC, atol=1e-8)


def test_a_base_on_its_grid_stays_bit_for_bit(target):
    stored = Int4Online().encode(target)
    stem = target.name.removesuffix(".weight")
    assert torch.equal(stored[f"{stem}.weight_packed"], int4.pack(target.codes_RC))


def test_no_slope_is_lost_and_no_code_changes(target):
    online, folded = measure([target], [Int4Online(), Int4Stochastic()])
    assert online["is_online"]
    assert not folded["is_online"]
    assert online["all"]["slope"] == pytest.approx(1, abs=1e-4)
    assert online["all"]["codes_changed"] == 0


def test_an_export_has_the_adapter_beside_it_and_a_deployment_finds_it(tmp_path: Path, k2_text):
    adapter = make_peft(k2_text, tmp_path / "a", target_modules=["o_proj"])
    job = LocalJob(tmp_path / "e", {"model": k2_text, "adapter": adapter})
    export(Export(format=Nvfp4Online(activations="unit"), smoke_tokens=0), job)
    folder = job.folder / "quantised"
    name = "adapter_model.safetensors"
    assert (folder / "adapter" / name).read_bytes() == (adapter / name).read_bytes()
    assert adapter_of(LocalJob(tmp_path, {"model": folder})) == folder / "adapter"
    assert adapter_of(LocalJob(tmp_path, {"model": k2_text})) is None
    bare = LocalJob(tmp_path / "b", {"model": k2_text})
    export(Export(format=Nvfp4Online(activations="unit"), smoke_tokens=0), bare)
    ours, plain = Index(folder), Index(bare.folder / "quantised")
    assert all(same(ours[name].read(), plain[name].read()) for name in plain)
