"""Quantise a merged model with nvidia-modelopt, calibrated on the dataset's training prompts.

Four stages, each kept once it is done: the export itself, its check, its BF16 twin, and how much
of the adapter survived. A job that is taken up again goes on at the first stage missing.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from kos.config import Export
from kos.engine.models import Chat
from kos.errors import UserError
from kos.events import Job, Note, Progress, Saved
from kos.weights import calibration, nvfp4, shards, survival, twin
from kos.weights.folders import TWIN
from kos.weights.quantised import Inventory, Nvfp4Folder
from kos.weights.text import Checkpoint

FOLDER = "quantised"
SAMPLED = 8


def export(config: Export, job: Job) -> None:
    """Write ``quantised/`` with ``twin/`` inside it and tell what fell where.

    Raises ``UserError`` when the model is quantised already, when no pattern matches, or when
    the result could not be served soundly.
    """
    merged = Checkpoint(job.inputs["merged"])
    if merged.num_packed or merged.dropped:
        raise UserError(
            f"{merged.folder.name} is no plain BF16 text model; run Merge on it first, without "
            "an adapter if there is none"
        )
    folder = job.folder / FOLDER
    if not folder.exists():
        _quantise(config, job, merged, folder.with_name(f"{FOLDER}.part")).rename(folder)
    exported = Nvfp4Folder(folder)
    inventory = exported.check(merged)
    identical, checked = _compare(exported, merged)
    if identical < checked:
        text = f"{checked - identical} of {checked} weights differ from the reference rounding"
        job.emit(Note(text, level="warning"))
    _write_twin(job, folder)
    kept = _survival(job, exported, merged)
    report = shards.read_json(folder / "calibration.json")
    counts = {"num_checked": checked, "num_identical": identical}
    summary = _summary(merged, inventory) | counts | {"calibration": report, "survival": kept}
    job.emit(Saved("quantised", FOLDER, summary))


def _quantise(config: Export, job: Job, merged: Checkpoint, part: Path) -> Path:
    """Load, calibrate and write the export to ``part``; return it."""
    # Heavy (5 s) and it prints: only a job that quantises pays for it.
    import modelopt.torch.quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint

    began = time.monotonic()
    shutil.rmtree(part, ignore_errors=True)
    job.emit(Progress("load", 0, 1, "models"))
    rows = _rows(config, job, Chat.load(merged.folder))
    model = _load(merged.folder)
    job.emit(Progress("load", 1, 1, "models"))
    meter = _Samples(job, len(rows))
    loop = calibration.forward_loop(
        list(calibration.batches(rows, config.format.calibration_batch)), meter.add
    )
    mtq.quantize(model, config.format.quant_config(_dense_layers(merged.config)), loop)
    job.emit(Progress("export", 0, 1, "models"))
    with torch.inference_mode():
        export_hf_checkpoint(model, dtype=torch.bfloat16, export_dir=part)
    _restore(merged, part)
    num_tokens = sum(len(row) for row in rows)
    seconds = round(time.monotonic() - began, 1)
    said = {"num_samples": len(rows), "num_tokens": num_tokens, "seconds": seconds}
    shards.write_json(part / "calibration.json", said)
    job.emit(Progress("export", 1, 1, "models"))
    return part


def _load(folder: Path) -> Any:
    """The model in BF16, in which ModelOpt writes what it does not quantise."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return model.eval().to(device)


def _rows(config: Export, job: Job, chat: Chat) -> list[list[int]]:
    prompts = calibration.read_prompts(
        job.inputs["dataset"], samples=config.format.calibration_samples, seed=job.seed
    )
    return calibration.encode(
        chat,
        prompts,
        system_prompt=config.system_prompt,
        max_length=config.format.calibration_length,
    )


class _Samples:
    """Counts calibrated samples and tells the job."""

    def __init__(self, job: Job, total: int) -> None:
        self.job, self.total, self.done = job, total, 0
        job.emit(Progress("calibrate", 0, total, "samples"))

    def add(self, count: int) -> None:
        """Count; raises ``CancelledError`` through ``job.emit`` when the run is to stop."""
        self.done += count
        self.job.emit(Progress("calibrate", self.done, self.total, "samples"))


def _dense_layers(config: dict[str, Any]) -> int:
    """How many first layers of a mixture of experts have none; 0 for a dense model."""
    return int(config.get("first_k_dense_replace") or 0) if config.get("n_routed_experts") else 0


def _restore(merged: Checkpoint, part: Path) -> None:
    """The source's own config and tokenizer: transformers rewrites both with losses."""
    written = shards.read_json(part / "config.json")["quantization_config"]
    config = {**merged.config, "quantization_config": written}
    shards.write_json(part / "config.json", config)
    shards.copy_companions(merged.folder, part)


def _compare(exported: Nvfp4Folder, merged: Checkpoint) -> tuple[int, int]:
    """Of a few weights, how many have the codes and scales our own rounding gives."""
    names = list(exported.weights)[:: max(1, len(exported.weights) // SAMPLED)]
    identical = 0
    for name in names:
        stored = exported.read(name)
        ours = nvfp4.quantise(merged[name].read(), stored.scale_2)
        pairs = ((ours.codes, stored.codes), (ours.scale, stored.scale))
        identical += all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in pairs)
    return identical, len(names)


def _write_twin(job: Job, folder: Path) -> None:
    if (folder / TWIN).exists():
        return
    part = folder / f"{TWIN}.part"
    shutil.rmtree(part, ignore_errors=True)
    twin.write(folder, part, lambda done, total: job.emit(Progress("twin", done, total, "bytes")))
    part.rename(folder / TWIN)


def _survival(job: Job, exported: Nvfp4Folder, merged: Checkpoint) -> dict[str, Any]:
    """Nothing without the optional base: the change cannot be told from the weights."""
    if "base" not in job.inputs:
        return {}
    kept = survival.measure(
        exported,
        merged,
        Checkpoint(job.inputs["base"]),
        lambda done, total: job.emit(Progress("survival", done, total, "weights")),
    )
    shards.write_json(exported.folder / "survival.json", kept)
    return kept


def _summary(merged: Checkpoint, inventory: Inventory) -> dict[str, Any]:
    before = sum(weight.stored_bytes for weight in merged.values())
    return {
        **inventory.show(),
        "format": "NVFP4",
        "kv_cache": "not quantised",
        "size_before_bytes": before,
        "ratio": round(before / inventory.size_bytes, 3),
        "twin": TWIN,
    }
