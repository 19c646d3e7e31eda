"""Quantise a model, with an adapter folded in on the way, for serving.

Stages, each kept once it is done: calibration, the weights (shard by shard), the twin, and the
checks that the summary shows: how much of the adapter survived, and a few tokens as a proof. A
job that is taken up again goes on at the first stage, layer or shard that is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kos.config import Export
from kos.errors import UserError
from kos.events import Job, Note, Progress, Saved
from kos.weights import checks, plan_export, shards, smoke, stream, twin
from kos.weights.activations import Calibration
from kos.weights.calibrate import calibrate
from kos.weights.folders import TWIN
from kos.weights.formats.base import ExportFormat
from kos.weights.formats.nvfp4 import UNIT_SCALE_COST, Nvfp4Layout
from kos.weights.lora import Adapter
from kos.weights.plan import plan_updates
from kos.weights.quantised import Exported, QuantisedFolder
from kos.weights.source import Source
from kos.weights.stream import Work
from kos.weights.survival.gate import gate
from kos.weights.text import Checkpoint, kind_of

FOLDER = "quantised"
CALIBRATION = "calibration"
SURVIVAL, SMOKE = "survival.json", "smoke.json"


def export(config: Export, job: Job) -> None:
    """Write ``quantised/`` with ``twin/`` inside it and tell what fell where.

    Raises ``UserError`` when no pattern matches, when calibration is needed and there is no text
    for it, or when the result could not be served soundly.
    """
    source = _source(config, job)
    work = _work(config, job, source)
    folder = job.folder / FOLDER
    if not folder.exists():
        _write(job, work, folder)
    exported = _open(folder, config.format)
    inventory = exported.check(source.model)
    checked = checks.identical(exported, source)
    if checked and checked["num_identical"] < checked["num_checked"]:
        wrong = checked["num_checked"] - checked["num_identical"]
        text = f"{wrong} of {checked['num_checked']} weights differ from the reference rounding"
        job.emit(Note(text, level="warning"))
    if not config.format.is_plain:
        _write_twin(job, exported)
    kept = _survival(job, work, exported)
    summary = {
        **inventory.show(),
        **_sizes(work, folder, inventory.size_bytes),
        **checked,
        "calibration": work.calibration.show() if work.calibration else {},
        "survival": kept,
        **({"gate": gate(kept).to_json()} if kept else {}),
        "smoke": _smoke(config, job, folder),
    }
    job.emit(Saved("quantised", FOLDER, summary))


def _open(folder: Path, format: ExportFormat) -> Exported:
    if format.container == "safetensors":
        return QuantisedFolder(folder)
    # A package of its own, which only this container needs.
    from kos.weights.gguf_out import GgufFolder

    return GgufFolder(folder)


def _source(config: Export, job: Job) -> Source:
    """The model, with every weight the adapter changes; refuses an adapter that does not fit."""
    model = Checkpoint(job.inputs["model"])
    if "adapter" not in job.inputs:
        return Source(model)
    updates = plan_updates(model, Adapter(job.inputs["adapter"]))
    kinds = ", ".join(sorted({kind_of(name) for name in updates}))
    job.emit(Note(f"the adapter changes {len(updates)} of {len(model)} weights ({kinds})"))
    return Source(model, updates) if config.format.folds_adapter else Source(model)


def _work(config: Export, job: Job, source: Source) -> Work:
    """What becomes of each weight, calibrated where the format asks for it."""
    placed = plan_export.place(source.tensors(), source.model.config, config.format)
    if not any(one.is_quantised for one in placed) and not config.format.is_plain:
        refused = sorted({one.why for one in placed if one.why.startswith(("its", "the base"))})
        raise UserError(
            "nothing would be quantised: "
            + (f"{refused[0]}; choose another format" if refused else "no name fits the patterns")
        )
    found = None
    if config.format.needs != "nothing":
        found = _calibration(config, job, source, placed)
    elif isinstance(config.format, Nvfp4Layout) and config.format.activations == "unit":
        job.emit(Note(UNIT_SCALE_COST, level="warning"))
    return Work(source, config.format, placed, found, job.seed, config.shard_gb * 1e9)


def _calibration(
    config: Export, job: Job, source: Source, placed: list[plan_export.Placement]
) -> Calibration:
    """An earlier export's, this job's own, or a new one."""
    folder = job.folder / CALIBRATION
    if "calibration" in job.inputs:
        found = Calibration.load(job.inputs["calibration"])
    elif folder.exists():
        found = Calibration.load(folder)
    else:
        found = calibrate(config, job, source, placed, folder)
        job.emit(Saved("calibration", CALIBRATION, found.show()))
    if config.format.needs == "moments" and not found.has_moments:
        raise UserError(
            "this calibration has no second moments, which the format rounds by: calibrate anew"
        )
    missing = [
        one.tensor.name for one in placed if one.is_quantised and found.of(one.tensor.name) is None
    ]
    if missing:
        raise UserError(
            f"the calibration knows nothing of {missing[0]} and {len(missing) - 1} others: it is "
            "of another model; calibrate anew"
        )
    return found


def _write(job: Job, work: Work, folder: Path) -> None:
    """All shards into a folder that gets its name when it is whole."""
    part = folder.with_name(f"{FOLDER}.part")
    on_bytes = _progress(job, "export", "bytes")
    if work.format.container == "gguf":
        from kos.weights import gguf_out

        told = gguf_out.write(work, part, on_bytes)
    else:
        told = stream.write(work, part, job.folder / "checkpoint" / "export.json", on_bytes)
    if "adapter" in job.inputs and not work.format.folds_adapter:
        shutil.copytree(job.inputs["adapter"], part / "adapter", dirs_exist_ok=True)
    shards.write_json(part / "speed.json", told)
    speed = f"read {told['read_bytes'] / 1e9:.2f} GB at {told['mb_per_second']:.0f} MB/s"
    job.emit(Note(f"wrote {told['num_shards']} files: {speed}"))
    part.rename(folder)


def _progress(job: Job, stage: str, unit: str) -> Callable[[int, int], None]:
    return lambda done, total: job.emit(Progress(stage, done, total, unit))


def _write_twin(job: Job, exported: Exported) -> None:
    folder = exported.folder
    if (folder / TWIN).exists():
        return
    part = folder / f"{TWIN}.part"
    shutil.rmtree(part, ignore_errors=True)
    twin.write(exported, part, _progress(job, "twin", "bytes"))
    part.rename(folder / TWIN)


def _sizes(work: Work, folder: Path, size_bytes: int) -> dict[str, Any]:
    """Sizes against what is read, and in BF16; how fast it went; where every sort fell."""
    plan = plan_export.summarise(work.placed)
    name = work.format.label().split(":")[0]
    return {
        "format": name,
        "kv_cache": "not quantised",
        "size_before_bytes": work.total_bytes,
        "size_bf16_bytes": plan.bytes_bf16,
        "ratio": round(plan.bytes_bf16 / max(1, size_bytes), 3),
        "plan": plan.show()["rows"],
        "speed": shards.read_json(folder / "speed.json"),
        **({} if work.format.is_plain else {"twin": TWIN}),
    }


def _survival(job: Job, work: Work, exported: Exported) -> dict[str, Any]:
    """Nothing without an adapter or a base: the change cannot be told from the weights."""
    path = exported.folder / SURVIVAL
    if not path.exists():
        base = Checkpoint(job.inputs["base"]) if "base" in job.inputs else None
        if not work.source.updates and base is None:
            return {}
        change = checks.Change(
            work.source, None if work.source.updates else base, work.calibration, job.seed
        )
        found = checks.survival(exported, change, _progress(job, "survival", "weights"))
        shards.write_json(path, found)
    said = shards.read_json(path)
    return {key: said[key] for key in ("all", "kinds") if key in said}


def _smoke(config: Export, job: Job, folder: Path) -> dict[str, Any]:
    """A few tokens by the twin, and by vLLM where it has kernels here."""
    path = folder / SMOKE
    if not config.smoke_tokens:
        return {}
    if not path.exists():
        plain = folder if config.format.is_plain else folder / TWIN
        said: dict[str, Any] = {"transformers": smoke.by_twin(plain, tokens=config.smoke_tokens)}
        is_moe = bool(shards.read_json(folder / "config.json").get("n_routed_experts"))
        if smoke.can_vllm(config.format, is_moe=is_moe):
            job.emit(Note("starting vLLM on the export"))
            said["vllm"] = smoke.by_vllm(folder, job.folder / "smoke", tokens=config.smoke_tokens)
            if "error" in said["vllm"]:
                job.emit(Note(f"vLLM: {said['vllm']['error']}", level="warning"))
        shards.write_json(path, said)
        job.emit(Progress("smoke", 1, 1, "answers"))
    return shards.read_json(path)
