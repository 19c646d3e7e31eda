from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kos.config import Merge
from kos.digests import digest_of
from kos.errors import CancelledError, UserError
from kos.events import Event, LocalJob, Note, Progress
from kos.weights import kernels, text
from kos.weights.merge import merge
from kos.weights.shards import Index, read_json, write_json
from kos.weights.text import Checkpoint
from tests.kos.weights import families
from tests.kos.weights.models import (
    SMALL,
    LiveBytes,
    apart,
    differing,
    make_llama,
    make_peft,
    run_merge,
)

pytestmark = pytest.mark.filterwarnings("ignore")
ATTENTION = ["q_b_proj", "o_proj"]


@pytest.fixture(scope="module")
def k2_adapter(tmp_path_factory, k2_text) -> Path:
    """LoRA on the attention of k2-tiny, with peft's own merge beside it."""
    return make_peft(k2_text, tmp_path_factory.mktemp("a"), target_modules=ATTENTION)


def test_a_llama_merges_as_in_peft(llama, tmp_path):
    adapter = make_peft(llama, tmp_path / "a", target_modules="all-linear")
    job = run_merge(tmp_path / "m", base=llama, adapter=adapter)
    assert apart(job.folder / "merged", adapter / "merged") == []


def test_k2_merges_as_in_peft(k2_text, k2_adapter, tmp_path):
    job = run_merge(tmp_path, base=k2_text, adapter=k2_adapter)
    assert apart(job.folder / "merged", k2_adapter / "merged") == []


def test_fused_experts_merge_as_in_peft(k2_text, tmp_path):
    experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    adapter = make_peft(k2_text, tmp_path / "a", target_modules=[], target_parameters=experts)
    job = run_merge(tmp_path / "m", base=k2_text, adapter=adapter)
    assert apart(job.folder / "merged", adapter / "merged") == []


def test_an_output_head_of_its_own_merges_as_in_peft(tmp_path):
    base = make_llama(tmp_path / "b", is_tied=False)
    adapter = make_peft(base, tmp_path / "a", target_modules=["lm_head", "embed_tokens"])
    job = run_merge(tmp_path / "m", base=base, adapter=adapter)
    assert apart(job.folder / "merged", adapter / "merged") == []


def test_an_expert_named_alone_changes_alone(k2, k2_text, tmp_path):
    module = "model.layers.2.mlp.experts.3.gate_proj"
    factors = {
        f"base_model.model.{module}.lora_A.weight": torch.ones(1, 128),
        f"base_model.model.{module}.lora_B.weight": torch.full((64, 1), 0.5),
    }
    save_file(factors, tmp_path / "adapter_model.safetensors")
    write_json(tmp_path / "adapter_config.json", {"r": 1, "lora_alpha": 1})
    job = run_merge(tmp_path / "m", base=k2, adapter=tmp_path)
    assert differing(job.folder / "merged", k2_text) == [f"{module}.weight"]


def test_the_merged_model_loads_in_transformers(k2, k2_adapter, tmp_path):
    from transformers import AutoModelForCausalLM

    job = run_merge(tmp_path, base=k2, adapter=k2_adapter)
    _, found = AutoModelForCausalLM.from_pretrained(
        job.folder / "merged", output_loading_info=True
    )
    assert not any(found.values())


def test_the_summary_tells_what_changed(k2, k2_adapter, tmp_path):
    summary = run_merge(tmp_path, base=k2, adapter=k2_adapter).events[-1].summary
    counts = [summary[f"num_{what}"] for what in ("tensors", "changed", "unpacked", "dropped")]
    assert counts == [129, 8, 72, 3]
    assert summary["moved_share"] > 0.9
    assert summary["bf16_slope"] == pytest.approx(1, abs=1e-3)


def test_only_the_text_model_is_left_without_an_adapter(k2, k2_text):
    names = set(Index(k2_text))
    assert not any(name.startswith(("vision", "mm_", "language_model")) for name in names)
    assert not any("weight_packed" in name for name in names)
    bias = Index(k2_text)["model.layers.1.mlp.gate.e_score_correction_bias"]
    assert bias.dtype == torch.float32


def test_tied_embeddings_are_written_once(llama, tmp_path):
    job = run_merge(tmp_path, base=llama)
    assert "lm_head.weight" not in Index(job.folder / "merged")
    assert job.events[-1].summary["is_tied"] is True


def test_an_adapter_of_another_model_is_refused_before_a_byte_is_written(
    llama, k2_adapter, tmp_path
):
    with pytest.raises(UserError, match="fit no weight of this base"):
        run_merge(tmp_path, base=llama, adapter=k2_adapter)
    assert not (tmp_path / "merged").exists()


def test_a_base_in_another_format_is_refused(k2, tmp_path):
    shutil.copytree(k2, tmp_path / "b")
    config = read_json(k2 / "config.json")
    config["text_config"]["quantization_config"] = {"quant_method": "gptq"}
    write_json(tmp_path / "b" / "config.json", config)
    with pytest.raises(UserError, match="quantised as gptq"):
        run_merge(tmp_path / "m", base=tmp_path / "b")


def stop_in_the_middle(event: Event) -> None:
    if isinstance(event, Progress) and event.done > event.total * 0.6:
        raise CancelledError


def test_a_stopped_merge_goes_on_at_the_next_shard(k2, k2_adapter, tmp_path):
    inputs = {"base": k2, "adapter": k2_adapter}
    whole = run_merge(tmp_path / "whole", **inputs)
    with pytest.raises(CancelledError):
        merge(SMALL, LocalJob(tmp_path / "cut", inputs, on_event=stop_in_the_middle))
    folder = tmp_path / "cut" / "merged"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    again = run_merge(tmp_path / "cut", **inputs)
    assert 0 < len(before) < 3
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert digest_of(folder) == digest_of(tmp_path / "whole" / "merged")
    assert again.events[-1] == whole.events[-1]


def test_killed_after_any_shard_no_finished_one_is_written_again(k2, k2_adapter, tmp_path):
    inputs = {"base": k2, "adapter": k2_adapter}
    whole = run_merge(tmp_path / "whole", **inputs)
    folder = tmp_path / "cut" / "merged"
    seen: dict[str, tuple[int, str]] = {}

    def kill(event: Event) -> None:
        if isinstance(event, Note) and "is written" in event.text:
            raise KeyboardInterrupt

    num_shards = whole.events[-1].summary["num_shards"]
    for _ in range(num_shards - 1):
        with pytest.raises(KeyboardInterrupt):
            merge(SMALL, LocalJob(tmp_path / "cut", inputs, on_event=kill))
        now = {
            file.name: (file.stat().st_mtime_ns, digest_of(file).sha256)
            for file in folder.glob("*.safetensors")
        }
        assert len(now) == len(seen) + 1
        assert seen.items() <= now.items()
        seen = now
    run_merge(tmp_path / "cut", **inputs)
    assert all((folder / name).stat().st_mtime_ns == one[0] for name, one in seen.items())
    assert digest_of(folder) == digest_of(tmp_path / "whole" / "merged")


def test_a_shard_cut_after_it_was_done_is_written_again(k2, tmp_path):
    whole = digest_of(run_merge(tmp_path, base=k2).folder / "merged")
    first = min((tmp_path / "merged").glob("*.safetensors"))
    first.write_bytes(first.read_bytes()[:-1])
    assert digest_of(run_merge(tmp_path, base=k2).folder / "merged") == whole


def test_packed_again_no_code_changes_and_nearly_nothing_is_left(k2, tmp_path):
    # Deltas of a thousandth of a weight, as in Kos-1: 4.23e-5 beside 1.40e-2.
    adapter = families.tinker(tmp_path / "a", {}, {"model.layers.2.mlp.experts": (8, 64, 128)})
    write_json(adapter / "adapter_config.json", {"r": 4, "lora_alpha": 0.01})
    job = run_merge(
        tmp_path / "m", SMALL.model_copy(update={"into": "int4"}), base=k2, adapter=adapter
    )
    packed = job.events[-1].summary["packed"]
    assert packed["codes_changed"] == 0
    assert abs(packed["int4_slope"]) < 0.5
    merged = Checkpoint(job.folder / "merged")
    assert merged.num_packed == 72
    name = "model.layers.2.mlp.experts.0.up_proj.weight"
    packed_before, packed_after = Checkpoint(k2)[name], merged[name]
    assert torch.equal(packed_before.stored.read(), packed_after.stored.read())


def test_what_no_adapter_touches_stays_packed_byte_for_byte(k2, tmp_path):
    job = run_merge(tmp_path, SMALL.model_copy(update={"into": "int4"}), base=k2)
    before, after = Checkpoint(k2), Checkpoint(job.folder / "merged")
    assert read_json(job.folder / "merged" / "config.json")["quantization_config"]
    for name, weight in before.items():
        assert torch.equal(weight.stored.read(), after[name].stored.read())


def test_only_a_packed_base_can_be_packed_again(llama, tmp_path):
    with pytest.raises(UserError, match="Merge into bf16"):
        run_merge(tmp_path, Merge(into="int4"), base=llama)


def test_without_the_compiled_loops_the_same_bytes_are_written(
    k2, k2_adapter, tmp_path, monkeypatch
):
    first = run_merge(tmp_path / "1", base=k2, adapter=k2_adapter)
    monkeypatch.setattr(kernels, "HAS_LOOPS", False)
    second = run_merge(tmp_path / "2", base=k2, adapter=k2_adapter)
    assert differing(first.folder / "merged", second.folder / "merged") == []


def test_a_cut_adapter_is_named(k2, k2_adapter, tmp_path):
    shutil.copytree(k2_adapter, tmp_path / "a")
    file = tmp_path / "a" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"adapter_model\.safetensors is cut short: .*lora_"):
        run_merge(tmp_path / "m", base=k2, adapter=tmp_path / "a")


def test_shards_of_another_adapter_are_done_again(k2, k2_text, k2_adapter, tmp_path):
    run_merge(tmp_path / "m", base=k2)
    job = run_merge(tmp_path / "m", base=k2, adapter=k2_adapter)
    assert len(differing(job.folder / "merged", k2_text)) == 8


def test_no_more_than_a_few_blocks_are_in_memory(k2, k2_adapter, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "BLOCK", 1 << 13)
    with LiveBytes() as live:
        job = run_merge(tmp_path, Merge(shard_gb=0.001), base=k2, adapter=k2_adapter)
    largest = max(path.stat().st_size for path in (job.folder / "merged").glob("*.safetensors"))
    assert live.peak < largest / 2
    assert live.peak < 12 * 4 * (1 << 13)


def test_progress_ends_at_all_bytes_of_the_base(k2, tmp_path):
    job = run_merge(tmp_path, base=k2)
    told = [event for event in job.events if isinstance(event, Progress)]
    assert told[-1].done == told[-1].total
    assert [event.done for event in told] == sorted(event.done for event in told)
