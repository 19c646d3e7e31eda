from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kos.config import Export
from kos.errors import CancelledError
from kos.events import LocalJob
from kos.weights import plan_export, shards, stream, whole
from kos.weights.activations import Calibration, Seen, input_of
from kos.weights.export import export
from kos.weights.formats.base import ExportFormat
from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.int4 import Int4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.journal import identity
from kos.weights.lora import Adapter
from kos.weights.plan import plan_updates
from kos.weights.shards import Index, read_json
from kos.weights.source import Source
from kos.weights.stream import Work
from kos.weights.text import Checkpoint
from tests.kos.weights.models import LiveBytes, differing, make_peft, run_merge, same

pytestmark = pytest.mark.filterwarnings("ignore")
ALL = ("*",)


def work_of(source: Source, format: ExportFormat, shard_bytes: float = 4e9, **fields) -> Work:
    placed = plan_export.place(source.tensors(), source.model.config, format)
    return Work(source, format, placed, shard_bytes=shard_bytes, **fields)


def write(work: Work, folder: Path) -> Path:
    stream.write(work, folder / "out", folder / "journal.json", lambda done, total: None)
    return folder / "out"


def modelopt_export(model: Path, format: ExportFormat, folder: Path) -> Path:
    import modelopt.torch.quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
    ids = torch.randint(10, 400, (4, 32), generator=torch.Generator().manual_seed(1))
    dense = plan_export.dense_layers(Checkpoint(model).config)
    config = whole.quant_config(format, dense)
    mtq.quantize(loaded, config, lambda one: one.model(ids, use_cache=False))
    with torch.inference_mode():
        export_hf_checkpoint(loaded, dtype=torch.bfloat16, export_dir=folder)
    return folder


def inputs_of(exported: Path, work: Work) -> Calibration:
    """The largest inputs that ModelOpt wrote its scales from."""
    index, found = Index(exported), Calibration()
    for name in work.quantised:
        scale = float(index[name.removesuffix(".weight") + ".input_scale"].read())
        found.inputs[input_of(name)] = Seen(scale * 6 * 448, 1)
    return found


@pytest.mark.parametrize(
    ("model", "format"),
    [
        ("k2_text", Nvfp4()),
        ("k2_text", Nvfp4(quantise=ALL, keep=("*lm_head*", "*mlp.gate.*", "*embed*"))),
        ("llama", Nvfp4()),
        ("llama", Nvfp4(quantise=ALL, keep=("*lm_head*", "*embed*"))),
    ],
    ids=["k2", "k2 all", "llama", "llama all"],
)
def test_the_whole_folder_has_modelopts_bytes(request, tmp_path, model, format):
    folder = request.getfixturevalue(model)
    theirs = modelopt_export(folder, format, tmp_path / "modelopt")
    work = work_of(Source(Checkpoint(folder)), format)
    ours = write(work_of(work.source, format, calibration=inputs_of(theirs, work)), tmp_path)
    assert differing(theirs, ours) == []
    for name in ("hf_quant_config.json", "config.json"):
        key = "quantization_config" if name == "config.json" else "quantization"
        assert read_json(ours / name)[key] == read_json(theirs / name)[key]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, k2_text) -> Path:
    modules = ["o_proj", "q_a_proj"]
    parameters = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    folder = tmp_path_factory.mktemp("adapter")
    return make_peft(k2_text, folder, target_modules=modules, target_parameters=parameters)


@pytest.fixture
def source(k2, adapter) -> Source:
    model = Checkpoint(k2)
    return Source(model, plan_updates(model, Adapter(adapter)))


def test_straight_to_bf16_is_what_merge_writes(k2, adapter, source, tmp_path):
    merged = run_merge(tmp_path / "m", base=k2, adapter=adapter).folder / "merged"
    assert differing(write(work_of(source, Bf16()), tmp_path), merged) == []


def test_the_change_reaches_the_target_without_bf16_in_between(source, tmp_path):
    name = "model.layers.1.mlp.experts.3.up_proj.weight"
    exact = source.model[name].read() + source.updates[name].delta(0, 64)
    out = Index(write(work_of(source, Int4()), tmp_path))
    stem = name.removesuffix(".weight")
    whole_ = Int4().encode(source.target(name))
    assert same(out[f"{stem}.weight_packed"].read(), whole_[f"{stem}.weight_packed"])
    assert torch.equal(source.read(name), exact)


def test_an_export_reads_back_as_a_checkpoint(source, tmp_path):
    out = write(work_of(source, Int4()), tmp_path)
    read = Checkpoint(out)
    assert set(read) == set(source.model)
    name = "model.layers.2.mlp.experts.0.down_proj.weight"
    assert (read[name].read() - source.read(name)).abs().max() < 0.01


def kill_after(count: int):
    """Ends the job once ``count`` shards are there."""
    folder: list[Path] = []

    def on_event(event: object) -> None:
        done = folder[0].glob("quantised.part/*.safetensors")
        if getattr(event, "stage", "") == "export" and len(list(done)) >= count:
            raise CancelledError

    return folder, on_event


SMALL = Export(format=Int4(), shard_gb=0.0003, smoke_tokens=0)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, k2, adapter) -> Path:
    job = LocalJob(tmp_path_factory.mktemp("unbroken"), {"model": k2, "adapter": adapter})
    export(SMALL, job)
    return job.folder / "quantised"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_killing_at_any_shard_loses_no_finished_shard(k2, adapter, unbroken, tmp_path, count):
    folder, on_event = kill_after(count)
    folder.append(tmp_path)
    inputs = {"model": k2, "adapter": adapter}
    with pytest.raises(CancelledError):
        export(SMALL, LocalJob(tmp_path, inputs, on_event=on_event))
    part = tmp_path / "quantised.part"
    done = {path.name: path.stat().st_ino for path in part.glob("*.safetensors")}
    assert len(list(unbroken.glob("*.safetensors"))) == 5
    export(SMALL, LocalJob(tmp_path, inputs))
    again = {path.name: path.stat().st_ino for path in (tmp_path / "quantised").glob("*.safet*")}
    journal = read_json(tmp_path / "checkpoint" / "export.json")["done"]
    assert len(done) == count
    assert {name: again[name] for name in done} == done
    assert differing(tmp_path / "quantised", unbroken) == []
    assert len(journal) == 5


def test_other_work_begins_anew(source, tmp_path):
    write(work_of(source, Int4(), seed=1), tmp_path)
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    write(work_of(source, Int4(), seed=1), tmp_path)
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before
    write(work_of(source, Nvfp4(activations="unit")), tmp_path)
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns != before


def test_memory_is_a_few_matrices_whatever_the_models_size(source, tmp_path):
    work = work_of(source, Nvfp4(activations="none"))
    largest = max(one.tensor.num_weights for one in work.placed) * 4
    with LiveBytes() as live:
        write(work, tmp_path)
    total = sum(one.tensor.num_weights for one in work.placed) * 4
    assert live.peak < 4 * largest < total / 3


def test_the_twin_of_an_export_is_named_by_its_sha(unbroken):
    import hashlib

    said = read_json(unbroken / "export.json")["sha256"]
    file = unbroken / "model-00001-of-00005.safetensors"
    assert said[file.name] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_adapter_is_read_once_to_know_it_again(source, monkeypatch):
    read = []
    monkeypatch.setattr(shards, "sha256", lambda file: read.append(file) or "digest")
    said = identity(source.model, source.updates.values())
    assert len(source.updates) > 1
    assert [file.name for file in read] == ["adapter_model.safetensors"]
    assert said[2] == ["digest"]
