from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kos.config import Merge
from kos.errors import UserError
from kos.events import LocalJob, Result
from kos.weights import plan
from kos.weights.average import average
from kos.weights.merge import merge
from kos.weights.shards import Index
from tests.kos.weights import families
from tests.kos.weights.models import run_merge

pytestmark = pytest.mark.filterwarnings("ignore")
EXPERTS = {f"model.layers.{layer}.mlp.experts": (8, 64, 128) for layer in (1, 2, 3)}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plan") / "a"
    return families.tinker(folder, {"model.layers.0.self_attn.o_proj": (128, 64)}, EXPERTS)


def test_every_adapter_tensor_has_a_target_and_every_target_a_source(k2, adapter):
    found = plan.preview(k2, adapter, shard_gb=0.0007)
    assert found.num_adapter_tensors == len(found.by_source) == 20
    assert len(found.targets) == 1 + 3 * 3 * 8
    w2 = "base_model.model.model.layers.2.mlp.experts.w2.lora_A.weight"
    assert found.by_source[w2][3] == "model.layers.2.mlp.experts.3.down_proj.weight"
    assert {target.rank for target in found.targets} == {4}
    assert json.loads(json.dumps(found.show()))["kinds"]["mlp.experts.up_proj"] == 24


def test_the_plan_names_the_files_and_sizes_that_the_merge_writes(k2, adapter, tmp_path):
    found = plan.preview(k2, adapter, shard_gb=0.0007)
    merged = Index(run_merge(tmp_path, base=k2, adapter=adapter).folder / "merged")
    assert [shard.file for shard in found.shards] == [file.name for file in merged.files]
    assert found.size_bytes == merged.size_bytes
    places = {target.name: target.shard for target in found.targets}
    assert all(merged[name].file.name == file for name, file in places.items())


def test_a_dry_run_writes_the_plan_and_no_weights(k2, adapter, tmp_path):
    job = LocalJob(tmp_path, {"base": k2, "adapter": adapter})
    merge(Merge(dry_run=True), job)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert isinstance(job.events[-1], Result)
    assert job.events[-1].summary["num_changed"] == 73


def test_what_does_not_match_is_refused_in_a_sentence(llama, adapter):
    with pytest.raises(UserError, match=r"20 of the adapter's 20 tensors fit no weight .*o_proj"):
        plan.preview(llama, adapter)


def test_a_plan_loads_no_torch(k2, adapter):
    code = (
        "import sys; from pathlib import Path; from kos.weights.plan import preview;"
        "preview(Path(sys.argv[1]), Path(sys.argv[2])); sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(k2), str(adapter)]
    assert subprocess.run(command, check=False).returncode == 0


def test_an_average_is_the_mean_of_its_models(tmp_path):
    first = families.make("llama", tmp_path / "1")
    tensors = {name: entry.read() for name, entry in Index(first).items()}
    (tmp_path / "2").mkdir()
    save_file({n: v * 3 for n, v in tensors.items()}, tmp_path / "2" / "model.safetensors")
    (tmp_path / "2" / "config.json").write_text((first / "config.json").read_text())
    told: list[int] = []
    done = average(
        [first, tmp_path / "2"],
        tmp_path / "m",
        shares=(3, 1),
        on_bytes=lambda d, t: told.append(d),
    )
    found = Index(tmp_path / "m")
    assert done.num_tensors == len(found)
    assert all(torch.equal(found[n].read(), (v * 1.5).to(v.dtype)) for n, v in tensors.items())
    assert told == sorted(told)


def test_models_of_other_shapes_have_no_average(llama, k2_text, tmp_path):
    with pytest.raises(UserError, match="in one of them only"):
        average([llama, k2_text], tmp_path)
    with pytest.raises(UserError, match="two or more models"):
        average([llama], tmp_path)
