from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kos.config import Export
from kos.data import answers
from kos.data.answers import GradedAnswer, Said
from kos.errors import CancelledError, UserError
from kos.events import LocalJob, Progress, Saved
from kos.weights import calibration, nvfp4
from kos.weights.calibrators import Layerwise, ModelOpt
from kos.weights.export import export
from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.quantised import QuantisedFolder
from kos.weights.shards import Index, read_json, write_json
from kos.weights.text import Checkpoint
from tests.kos.weights.models import differing, make_peft, run_merge, same, write_prompts

pytestmark = pytest.mark.filterwarnings("ignore")
FEW = {"samples": 3, "max_tokens": 32, "batch": 4}
QUICK = Export(calibrator=Layerwise(**FEW), smoke_tokens=4)
NO_SMOKE = QUICK.model_copy(update={"smoke_tokens": 0})
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
    return run_export(folder / "e", model=merged, base=k2)


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
    assert config == Checkpoint(k2_job.inputs["model"]).config
    assert quantisation["quant_method"] == "modelopt"


def test_the_routers_bias_stays_in_full_precision(k2_job):
    bias = "model.layers.1.mlp.gate.e_score_correction_bias"
    theirs, ours = Index(k2_job.inputs["model"]), Index(k2_job.folder / "quantised")
    assert same(theirs[bias].read(), ours[bias].read())


def test_the_twin_holds_the_exported_values(k2_job):
    folder = k2_job.folder / "quantised"
    stored, twin = load_file(folder / "model.safetensors"), Index(folder / "twin")
    parts = [stored[EXPERT + end] for end in (".weight", ".weight_scale", ".weight_scale_2")]
    values = nvfp4.dequantise(*parts).to(torch.bfloat16)
    assert torch.equal(twin[f"{EXPERT}.weight"].read(), values)
    assert set(twin) == set(Checkpoint(k2_job.inputs["model"]))


def test_the_twin_loads_and_speaks_in_transformers(k2_job):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = k2_job.folder / "quantised" / "twin"
    model, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(found.values())
    ids = AutoTokenizer.from_pretrained(folder)("fever", return_tensors="pt")
    assert torch.isfinite(model(**ids).logits).all()


def test_survival_is_told_for_what_changed_alone(k2_job):
    kept = k2_job.events[-1].summary["survival"]["kinds"]
    assert list(kept) == ["self_attn.o_proj"]
    assert kept["self_attn.o_proj"]["slope"] == pytest.approx(1, abs=0.2)
    assert kept["self_attn.o_proj"]["cos"] > 0.8


def test_a_few_tokens_prove_that_it_loads(k2_job):
    said = k2_job.events[-1].summary["smoke"]["transformers"]
    assert said["num_tokens"] == 4
    assert said["text"]


def test_the_calibration_is_kept_with_every_experts_tokens(k2_job):
    (kept,) = [
        one for one in k2_job.events if isinstance(one, Saved) and one.path == "calibration"
    ]
    layers = kept.summary["coverage"]["layers"]
    assert [line["layer"] for line in layers] == [1, 2, 3]
    assert all(line["experts"] == 8 for line in layers)


def test_progress_is_told_for_every_stage(k2_job):
    told = [event for event in k2_job.events if isinstance(event, Progress)]
    ends = {event.stage: event.done == event.total for event in told}
    assert ends == dict.fromkeys(("calibrate", "export", "twin", "survival", "smoke"), True)


def test_a_finished_export_is_not_done_again(k2_job, tmp_path):
    shutil.copytree(k2_job.folder, tmp_path / "e")
    shutil.rmtree(tmp_path / "e" / "quantised" / "twin")
    again = LocalJob(tmp_path / "e", k2_job.inputs)
    export(QUICK, again)
    stages = {event.stage for event in again.events if isinstance(event, Progress)}
    assert stages == {"twin"}
    assert again.events[-1] == k2_job.events[-1]


def test_a_dense_model_is_exported_as_well(llama, tmp_path):
    summary = run_export(tmp_path / "e", model=llama).events[-1].summary
    assert summary["num_quantised"] == 8
    assert summary["kept_kinds"]["self_attn.q_proj"] == 2
    assert differing(tmp_path / "e" / "quantised" / "twin", llama)
    assert summary["survival"] == {}


def test_a_stop_while_calibrating_leaves_no_export(llama, tmp_path):
    def stop(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "calibrate" and event.done:
            raise CancelledError

    inputs = {"model": llama, "dataset": write_prompts(tmp_path / "d.jsonl")}
    with pytest.raises(CancelledError):
        export(QUICK, LocalJob(tmp_path / "e", inputs, on_event=stop))
    assert not (tmp_path / "e" / "quantised").exists()


def test_a_weight_without_input_scale_is_refused(exported):
    tensors = load_file(exported / "model.safetensors")
    del tensors[f"{EXPERT}.input_scale"]
    save_file(tensors, exported / "model.safetensors")
    with pytest.raises(UserError, match=r"experts\.0\.down_proj .*no input_scale"):
        QuantisedFolder(exported).check(())


def test_a_scale_of_zero_is_refused(exported):
    tensors = load_file(exported / "model.safetensors")
    tensors[f"{EXPERT}.input_scale"].zero_()
    save_file(tensors, exported / "model.safetensors")
    with pytest.raises(UserError, match="scales to nonsense"):
        QuantisedFolder(exported).check(())


def test_weights_alone_need_no_input_scale(exported):
    tensors = load_file(exported / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if not name.endswith("input_scale")}
    save_file(kept, exported / "model.safetensors")
    _say_activations(exported, "none")
    with pytest.raises(UserError, match="no input_scale"):
        QuantisedFolder(exported).check(())
    config = read_json(exported / "hf_quant_config.json")
    config["quantization"]["quant_algo"] = "W4A16_NVFP4"
    write_json(exported / "hf_quant_config.json", config)
    assert sum(QuantisedFolder(exported).check(()).quantised.values()) == 76


def _say_activations(exported: Path, activations: str) -> None:
    said = read_json(exported / "export.json")
    said["format"]["activations"] = activations
    write_json(exported / "export.json", said)


def test_a_missing_weight_is_refused(exported):
    with pytest.raises(UserError, match=r"lacks 1 weights, model\.lost"):
        QuantisedFolder(exported).check(["model.lost.weight"])


def test_modelopt_wants_packed_experts_merged_first(k2, tmp_path):
    config = Export(calibrator=ModelOpt(**FEW))
    with pytest.raises(UserError, match="run Merge on it first"):
        run_export(tmp_path / "e", config, model=k2)


def test_without_text_calibrated_activations_are_refused(llama, tmp_path):
    with pytest.raises(UserError, match="there is no text for it"):
        export(QUICK, LocalJob(tmp_path / "e", {"model": llama}))


@pytest.mark.parametrize(
    ("activations", "algorithm"), [("unit", "NVFP4"), ("none", "W4A16_NVFP4")]
)
def test_scales_without_calibration_are_valid(llama, tmp_path, activations, algorithm):
    config = NO_SMOKE.model_copy(update={"format": Nvfp4(activations=activations)})
    job = LocalJob(tmp_path / "e", {"model": llama})
    export(config, job)
    folder = job.folder / "quantised"
    said = read_json(folder / "hf_quant_config.json")["quantization"]["quant_algo"]
    scales = [float(v.read()) for n, v in Index(folder).items() if n.endswith(".input_scale")]
    assert (said, scales) == (algorithm, [1.0] * 8 if activations == "unit" else [])


def test_the_cost_of_scales_of_one_is_told(llama, tmp_path):
    config = NO_SMOKE.model_copy(update={"format": Nvfp4(activations="unit")})
    job = LocalJob(tmp_path / "e", {"model": llama})
    export(config, job)
    assert any("below 0.001 they become zero" in getattr(one, "text", "") for one in job.events)


def test_an_earlier_calibration_saves_the_work(llama, tmp_path):
    first = run_export(tmp_path / "a", NO_SMOKE, model=llama)
    job = LocalJob(tmp_path / "b", {"model": llama, "calibration": first.folder / "calibration"})
    export(NO_SMOKE, job)
    assert not any(getattr(event, "stage", "") == "calibrate" for event in job.events)
    assert differing(first.folder / "quantised", job.folder / "quantised") == []


def test_the_calibration_of_another_model_is_refused(llama, k2_job, tmp_path):
    job = LocalJob(tmp_path / "e", {"model": llama, "calibration": k2_job.folder / "calibration"})
    with pytest.raises(UserError, match="is of another model"):
        export(NO_SMOKE, job)


def test_a_runs_own_answers_calibrate_with_what_was_answered(tmp_path):
    said = Said(role="user", content="Fever?")
    rows = [GradedAnswer(id=str(i), messages=(said,), answer=f"Rest {i}.") for i in range(5)]
    answers.write(tmp_path / answers.ANSWERS, rows)
    texts = calibration.read_texts(
        {"answers": tmp_path}, samples=3, seed=0, system_prompt="You help."
    )
    assert len(texts) == 3
    assert all(text.answer.startswith("Rest ") for text in texts)


def test_bf16_needs_no_twin(llama, tmp_path):
    job = run_export(tmp_path / "e", QUICK.model_copy(update={"format": Bf16()}), model=llama)
    assert differing(job.folder / "quantised", llama) == []
    assert not (job.folder / "quantised" / "twin").exists()


def test_patterns_that_fit_nothing_are_refused_before_any_work(llama, tmp_path):
    config = NO_SMOKE.model_copy(update={"format": Nvfp4(quantise=("*nowhere*",))})
    with pytest.raises(UserError, match="no name fits the patterns"):
        export(config, LocalJob(tmp_path / "e", {"model": llama}))


def test_shorter_prompts_are_filled_with_their_own_tokens():
    (batch,) = calibration.batches([[1, 2, 3, 4, 5], [7, 8]], 2)
    assert batch.tolist() == [[7, 8, 7, 8, 7], [1, 2, 3, 4, 5]]


def test_a_dataset_without_training_rows_cannot_calibrate(tmp_path):
    path = write_prompts(tmp_path / "d.jsonl")
    lines = path.read_text().replace('"split":"train"', '"split":"test"')
    path.write_text(lines)
    with pytest.raises(UserError, match="training split"):
        calibration.read_prompts(path, samples=2, seed=0)
