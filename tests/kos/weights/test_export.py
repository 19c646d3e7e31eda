from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kos.config import Export
from kos.errors import CancelledError, UserError
from kos.events import LocalJob, Progress
from kos.weights import calibration, nvfp4
from kos.weights.export import export
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.quantised import Nvfp4Folder
from kos.weights.shards import Index, read_json, write_json
from kos.weights.text import Checkpoint
from tests.kos.weights.models import differing, make_peft, run_merge, same, write_prompts

pytestmark = pytest.mark.filterwarnings("ignore")
QUICK = Export(format=Nvfp4(calibration_samples=3, calibration_length=32))
EXPERT = "model.layers.1.mlp.experts.0.down_proj"


def run_export(folder: Path, config: Export = QUICK, **inputs: Path) -> LocalJob:
    dataset = write_prompts(folder.parent / f"{folder.name}.jsonl")
    job = LocalJob(folder, {"dataset": dataset, **inputs})
    export(config, job)
    return job


@pytest.fixture(scope="module")
def k2_job(tmp_path_factory, k2, k2_text) -> LocalJob:
    """k2-tiny with an adapter, merged and exported beside its base."""
    folder = tmp_path_factory.mktemp("export")
    adapter = make_peft(k2_text, folder / "a", target_modules=["o_proj"])
    merged = run_merge(folder / "m", base=k2, adapter=adapter).folder / "merged"
    return run_export(folder / "e", merged=merged, base=k2)


@pytest.fixture
def exported(k2_job, tmp_path) -> Path:
    """A copy of the k2-tiny export to spoil."""
    shutil.copytree(k2_job.folder / "quantised", tmp_path / "q")
    return tmp_path / "q"


def test_experts_and_o_proj_are_quantised_and_nothing_else(k2_job):
    summary = k2_job.events[-1].summary
    assert summary["quantised_kinds"] == {
        "mlp.experts.down_proj": 24,
        "mlp.experts.gate_proj": 24,
        "mlp.experts.up_proj": 24,
        "self_attn.o_proj": 4,
    }
    assert summary["kept_kinds"]["mlp.shared_experts.up_proj"] == 3
    assert summary["kept_kinds"]["mlp.gate_proj"] == 1


def test_the_codes_are_those_of_our_own_rounding(k2_job):
    summary = k2_job.events[-1].summary
    assert summary["num_identical"] == summary["num_checked"] > 4


def test_activations_are_calibrated_on_the_prompts(k2_job):
    index = Index(k2_job.folder / "quantised")
    scales = {name: float(index[name].read()) for name in index if name.endswith(".input_scale")}
    assert len(scales) == 76
    assert all(0 < scale < 1 for scale in scales.values())
    assert k2_job.events[-1].summary["calibration"]["num_samples"] == 3


def test_the_cache_is_not_quantised(k2_job):
    config = read_json(k2_job.folder / "quantised" / "hf_quant_config.json")["quantization"]
    assert (config["quant_algo"], config["kv_cache_quant_algo"]) == ("NVFP4", None)


def test_the_export_keeps_the_config_of_its_source(k2_job):
    config = read_json(k2_job.folder / "quantised" / "config.json")
    quantisation = config.pop("quantization_config")
    assert config == Checkpoint(k2_job.inputs["merged"]).config
    assert quantisation["quant_method"] == "modelopt"


def test_the_routers_bias_stays_in_full_precision(k2_job):
    bias = "model.layers.1.mlp.gate.e_score_correction_bias"
    theirs, ours = Index(k2_job.inputs["merged"]), Index(k2_job.folder / "quantised")
    assert same(theirs[bias].read(), ours[bias].read())


def test_the_twin_holds_the_exported_values(k2_job):
    folder = k2_job.folder / "quantised"
    stored, twin = load_file(folder / "model.safetensors"), Index(folder / "twin")
    parts = [stored[EXPERT + end] for end in (".weight", ".weight_scale", ".weight_scale_2")]
    values = nvfp4.dequantise(*parts).to(torch.bfloat16)
    assert torch.equal(twin[f"{EXPERT}.weight"].read(), values)
    assert set(twin) == set(Checkpoint(k2_job.inputs["merged"]))


def test_the_twin_loads_and_speaks_in_transformers(k2_job):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = k2_job.folder / "quantised" / "twin"
    model, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(found.values())
    ids = AutoTokenizer.from_pretrained(folder)("fever", return_tensors="pt")
    assert torch.isfinite(model(**ids).logits).all()


def test_survival_is_told_for_what_changed_alone(k2_job):
    kept = k2_job.events[-1].summary["survival"]
    assert kept["self_attn.o_proj"]["slope"] == pytest.approx(1, abs=0.2)
    assert kept["self_attn.o_proj"]["cos"] > 0.8
    assert "slope" not in kept["mlp.experts.up_proj"]
    assert kept["mlp.experts.up_proj"]["relative_error"] == pytest.approx(0.1, abs=0.02)


def test_progress_is_told_for_every_stage(k2_job):
    told = [event for event in k2_job.events if isinstance(event, Progress)]
    ends = {event.stage: event.done == event.total for event in told}
    assert ends == dict.fromkeys(("load", "calibrate", "export", "twin", "survival"), True)


def test_a_finished_export_is_not_done_again(k2_job, tmp_path):
    shutil.copytree(k2_job.folder, tmp_path / "e")
    shutil.rmtree(tmp_path / "e" / "quantised" / "twin")
    again = LocalJob(tmp_path / "e", k2_job.inputs)
    export(QUICK, again)
    stages = {event.stage for event in again.events if isinstance(event, Progress)}
    assert stages == {"twin", "survival"}
    assert again.events[-1] == k2_job.events[-1]


def test_a_dense_model_is_exported_as_well(llama, tmp_path):
    summary = run_export(tmp_path / "e", merged=llama).events[-1].summary
    assert summary["num_quantised"] == 8
    assert summary["kept_kinds"]["self_attn.q_proj"] == 2
    assert differing(tmp_path / "e" / "quantised" / "twin", llama)
    assert summary["survival"] == {}


def test_a_stop_while_calibrating_leaves_no_export(llama, tmp_path):
    def stop(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "calibrate" and event.done:
            raise CancelledError

    inputs = {"merged": llama, "dataset": write_prompts(tmp_path / "d.jsonl")}
    with pytest.raises(CancelledError):
        export(QUICK, LocalJob(tmp_path / "e", inputs, on_event=stop))
    assert not (tmp_path / "e" / "quantised").exists()


def test_a_weight_without_input_scale_is_refused(exported):
    tensors = load_file(exported / "model.safetensors")
    del tensors[f"{EXPERT}.input_scale"]
    save_file(tensors, exported / "model.safetensors")
    with pytest.raises(UserError, match=r"experts\.0\.down_proj .*no input_scale"):
        Nvfp4Folder(exported).check(())


def test_a_scale_of_zero_is_refused(exported):
    tensors = load_file(exported / "model.safetensors")
    tensors[f"{EXPERT}.input_scale"].zero_()
    save_file(tensors, exported / "model.safetensors")
    with pytest.raises(UserError, match="scales to nonsense"):
        Nvfp4Folder(exported).check(())


def test_weights_alone_need_no_input_scale(exported):
    tensors = load_file(exported / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if not name.endswith("input_scale")}
    save_file(kept, exported / "model.safetensors")
    config = read_json(exported / "hf_quant_config.json")
    config["quantization"]["quant_algo"] = "W4A16_NVFP4"
    write_json(exported / "hf_quant_config.json", config)
    assert sum(Nvfp4Folder(exported).check(()).nvfp4.values()) == 76


def test_a_missing_weight_is_refused(exported):
    with pytest.raises(UserError, match=r"lacks 1 weights, model\.lost"):
        Nvfp4Folder(exported).check(["model.lost.weight"])


def test_packed_experts_are_to_be_merged_first(k2, tmp_path):
    with pytest.raises(UserError, match="run Merge on it first"):
        run_export(tmp_path / "e", merged=k2)


def test_what_is_kept_comes_last_because_the_last_rule_wins():
    rules = Nvfp4(quantise=("*a*",), keep=("*b*",)).quant_config(1)["quant_cfg"]
    names = [rule["quantizer_name"] for rule in rules]
    kept = ["*b*", "*[kv]_bmm_quantizer", "*layers.0.mlp.*"]
    assert names == ["*", "*a*weight_quantizer", "*a*input_quantizer", *kept]


def test_shorter_prompts_are_filled_with_their_own_tokens():
    (batch,) = calibration.batches([[1, 2, 3, 4, 5], [7, 8]], 2)
    assert batch.tolist() == [[7, 8, 7, 8, 7], [1, 2, 3, 4, 5]]


def test_a_dataset_without_training_rows_cannot_calibrate(tmp_path):
    path = write_prompts(tmp_path / "d.jsonl")
    lines = path.read_text().replace('"split":"train"', '"split":"test"')
    path.write_text(lines)
    with pytest.raises(UserError, match="training split"):
        calibration.read_prompts(path, samples=2, seed=0)
